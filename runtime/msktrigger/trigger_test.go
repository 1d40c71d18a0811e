package msktrigger_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const nothing = `{"batchItemFailures":[]}`

var errBoom = errors.New("boom")

// never is more often than a record is tried.
func never(err error) []step { return slices.Repeat([]step{{err: err}}, 1000) }

func TestAnEmptyBatchIsDone(t *testing.T) {
	t.Parallel()
	for _, event := range []string{
		`{"eventSource":"aws:kafka","records":{}}`,
		`{"eventSource":"aws:kafka","records":null}`,
		`{"eventSource":"SelfManagedKafka","records":{"orders-0":[]}}`,
		`{"eventSource":"SelfManagedKafka","records":{"strange-0":null}}`,
	} {
		answer, err := msktrigger.New(newWorld().pipeline(t), nil).Invoke(t.Context(), []byte(event))
		if string(answer) != nothing || err != nil {
			t.Errorf("%s: answer %s, %v", event, answer, err)
		}
	}
}

func TestTheAnswerListsWhatIsNotFinishedInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := []record{
			{partition: 10, offset: 7, steps: never(errBoom), key: "a"},
			{partition: 10, offset: 9, key: "b"},
			{partition: 2, offset: 11, steps: never(errBoom), key: "a"},
			{partition: 2, offset: 5, steps: never(errBoom), key: "b"},
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var lines strings.Builder
		log := slog.New(slog.NewTextHandler(&lines, nil))
		answer, err := msktrigger.New(newWorld(records...).pipeline(t), &msktrigger.Options{Log: log}).Invoke(ctx, payload(records...))
		const want = `{"batchItemFailures":[` +
			`{"itemIdentifier":{"partition":"orders-2","offset":5}},` +
			`{"itemIdentifier":{"partition":"orders-2","offset":11}},` +
			`{"itemIdentifier":{"partition":"orders-10","offset":7}}]}`
		if string(answer) != want || err != nil {
			t.Errorf("answer %s, %v; want %s", answer, err, want)
		}
		for _, told := range []string{"partition=2 offset=5 records=2 of=2", "partition=10 offset=7 records=1 of=2"} {
			if !strings.Contains(lines.String(), told) {
				t.Errorf("the log does not tell %s:\n%s", told, &lines)
			}
		}
	})
}

func TestARecordIsTriedAgainWithinItsInvocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := []record{
			{offset: 1, key: "fails once", steps: []step{{err: errBoom}}},
			{offset: 2, key: "panics once", steps: []step{{panic: true}}},
			{offset: 3, key: "always fails", steps: never(errBoom)},
		}
		w := newWorld(records...)
		if failed := w.invoke(t, time.Minute, nil, records...); len(failed) > 0 {
			t.Errorf("handed back %v", failed)
		}
		for i, want := range []int{2, 2, 3} {
			if calls := len(w.look().callsOf(records[i].id())); calls != want {
				t.Errorf("a record that %s: %d calls, want %d", records[i].key, calls, want)
			}
		}
		if len(w.look().letters) != 1 || w.look().letters[0].Record.Offset != 3 || w.look().letters[0].Attempts != 3 {
			t.Errorf("dead letters %+v, want one after 3 attempts", w.look().letters)
		}
	})
}

func TestARecordThatCannotBeReadBecomesADeadLetterByItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := []record{{offset: 1, key: "a", poison: true}, {offset: 2, key: "a"}}
		w := newWorld(records...)
		w.writes = []error{errBoom}
		if failed := w.invoke(t, time.Minute, nil, records...); len(failed) > 0 {
			t.Errorf("handed back %v", failed)
		}
		if len(w.look().letters) != 1 || len(w.look().calls) != 1 || w.look().calls[0].id != "orders-0@2" {
			t.Fatalf("dead letters %+v, calls %v", w.look().letters, w.look().calls)
		}
		l := w.look().letters[0]
		if !l.Lost || l.LastOffset != 1 || l.Class != function.ClassUndecodable || !strings.Contains(l.Err.Error(), "value is not base64") {
			t.Errorf("dead letter %+v", l)
		}
	})
}

func TestWhatFollowsARecordThatIsHandedBackIsHandedBack(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		order function.Order
		want  []string
	}{
		{"by key", function.ByKey, []string{"orders-0@1", "orders-0@3", "orders-0@5", "orders-0@6"}},
		{"by partition", function.ByPartition, []string{"orders-0@1", "orders-0@2", "orders-0@3", "orders-0@4", "orders-0@5", "orders-0@6", "orders-0@7"}},
		{"unordered", function.Unordered, []string{"orders-0@1", "orders-0@5"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				later := function.RetryAfter(time.Hour, errBoom)
				records := []record{
					{offset: 1, key: "a", steps: never(later)}, {offset: 2, key: "b"}, {offset: 3, key: "a"}, {offset: 4, key: ""},
					{offset: 5, key: "-", steps: never(later)}, {offset: 6, key: "-"}, {offset: 7, key: ""}, {partition: 1, offset: 1, key: "a"},
				}
				w := newWorld(records...)
				w.spec.Order = tc.order
				start := time.Now()
				if failed := w.invoke(t, time.Minute, nil, records...); !slices.Equal(failed, tc.want) {
					t.Errorf("handed back %v, want %v", failed, tc.want)
				}
				if took := time.Since(start); took > 0 {
					t.Errorf("the answer took %s although nothing was left to do", took)
				}
			})
		})
	}
}

func TestHandlersEndBeforeTheDeadline(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name            string
		timeout, margin time.Duration
		// ends is when a handler's context ends, and answers when a handler that pays no heed to it is left behind.
		ends, answers time.Duration
	}{
		{"default", 60 * time.Second, 0, 59 * time.Second, 59500 * time.Millisecond},
		{"default of a short time-out", time.Second, 0, 800 * time.Millisecond, 900 * time.Millisecond},
		{"own", 60 * time.Second, 10 * time.Second, 50 * time.Second, 55 * time.Second},
		{"own beyond a fifth", 10 * time.Second, 5 * time.Second, 8 * time.Second, 9 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				records := []record{
					{offset: 1, key: "heeds", steps: []step{{takes: time.Hour}}},
					{offset: 2, key: "finishes late", steps: []step{{takes: tc.ends + time.Millisecond, deaf: true}}},
					{offset: 3, key: "deaf", steps: []step{{takes: time.Hour, deaf: true, emits: time.Second}}},
					{offset: 4, key: "deaf"},
				}
				w := newWorld(records...)
				w.spec.Timeout = time.Hour
				start := time.Now()
				failed := w.invoke(t, tc.timeout, &msktrigger.Options{Margin: tc.margin}, records...)
				if took := time.Since(start); took != tc.answers {
					t.Errorf("the answer took %s, want %s", took, tc.answers)
				}
				if want := []string{"orders-0@1", "orders-0@3", "orders-0@4"}; !slices.Equal(failed, want) {
					t.Errorf("handed back %v, want %v", failed, want)
				}
				if took := w.look().callsOf("orders-0@1")[0].end.Sub(start); took != tc.ends {
					t.Errorf("the handler's context ended after %s, want %s", took, tc.ends)
				}
				time.Sleep(2 * time.Hour)
				if len(w.look().sent) > 0 || w.look().finished("orders-0@3") || len(w.look().callsOf("orders-0@4")) > 0 {
					t.Errorf("the handler that was left behind published %v", w.look().sent)
				}
			})
		})
	}
}

func TestAnInvocationIsPatientWithWhatIsDown(t *testing.T) {
	t.Parallel()
	down := function.Unavailable("db", errBoom)
	for _, tc := range []struct {
		name     string
		steps    []step
		writes   []error
		patience time.Duration
		back     bool
		within   time.Duration
	}{
		{"comes back", []step{{err: down}, {err: down}, {err: down}}, nil, 0, false, time.Second},
		{"stays away", never(down), nil, 0, true, 5 * time.Second},
		{"stays away from an impatient one", never(down), nil, time.Second, true, time.Second},
		{"dead letter topic comes back", []step{{err: function.Permanent(errBoom)}}, []error{errBoom, errBoom}, 0, false, time.Second},
		{"dead letter topic stays away", []step{{err: function.Permanent(errBoom)}}, slices.Repeat([]error{errBoom}, 1000), 0, true, 6 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r := record{offset: 1, steps: tc.steps}
				w := newWorld(r)
				w.writes = tc.writes
				start := time.Now()
				failed := w.invoke(t, time.Hour, &msktrigger.Options{Patience: tc.patience}, r)
				if back := len(failed) == 1; back != tc.back {
					t.Errorf("handed back %v, want that to be %t", failed, tc.back)
				}
				if took := time.Since(start); took > tc.within {
					t.Errorf("the answer took %s, want at most %s", took, tc.within)
				}
			})
		})
	}
}

func TestAnOpenCircuitEndsTheInvocationUnlessAProbeIsNear(t *testing.T) {
	t.Parallel()
	down := function.Unavailable("db", errBoom)
	for _, tc := range []struct {
		name     string
		recovery time.Duration
		back     bool
		within   time.Duration
	}{
		{"probe far away", 30 * time.Second, true, 3 * time.Second},
		{"probe near", 2 * time.Second, false, 5 * time.Second},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				records := []record{{offset: 1, key: "a", steps: []step{{err: down}, {err: down}, {err: down}}}, {offset: 2, key: "b"}}
				w := newWorld(records...)
				w.circuits = breaker.NewSet(&breaker.Options{FailureThreshold: 2, RecoveryTimeout: tc.recovery, SuccessThreshold: 1})
				start := time.Now()
				failed := w.invoke(t, time.Hour, nil, records...)
				if back := slices.Contains(failed, "orders-0@1"); back != tc.back {
					t.Errorf("handed back %v, want that to be %t", failed, tc.back)
				}
				if took := time.Since(start); took > tc.within {
					t.Errorf("the answer took %s, want at most %s", took, tc.within)
				}
			})
		})
	}
}

func TestWithoutADeadlineAnInvocationEndsWithItsWorkOrItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := []record{{offset: 1, steps: []step{{err: function.RetryAfter(time.Hour, errBoom)}}}}
		trigger := msktrigger.New(newWorld(records...).pipeline(t), nil)
		if answer, err := trigger.Invoke(t.Context(), payload(records...)); string(answer) != nothing || err != nil {
			t.Errorf("answer %s, %v", answer, err)
		}
		records[0].steps = []step{{takes: time.Hour, deaf: true}}
		var lines strings.Builder
		trigger = msktrigger.New(newWorld(records...).pipeline(t), &msktrigger.Options{Log: slog.New(slog.NewTextHandler(&lines, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Minute, cancel)
		start := time.Now()
		answer, err := trigger.Invoke(ctx, payload(records...))
		if failed := handedBack(t, answer); len(failed) != 1 || err != nil || time.Since(start) != time.Minute+msktrigger.DefaultMargin/2 {
			t.Errorf("answer %s, %v after %s", answer, err, time.Since(start))
		}
		if told := "its record is handed back\" topic=orders partition=0 offset=1"; !strings.Contains(lines.String(), told) {
			t.Errorf("the log does not tell %s:\n%s", told, &lines)
		}
		time.Sleep(time.Hour) // the handler ends
	})
}

func TestAnInvocationWhoseTimeIsOverHandsEverythingBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := []record{{offset: 1, key: "a"}, {offset: 2, key: "b"}}
		w := newWorld(records...)
		if failed := w.invoke(t, -time.Second, nil, records...); len(failed) != 2 || len(w.look().calls) > 0 {
			t.Errorf("handed back %v after %d calls", failed, len(w.look().calls))
		}
	})
}

func TestAnOffsetThatStandsTwiceIsReportedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		later := function.RetryAfter(time.Hour, errBoom)
		records := []record{{offset: 1, key: "a", steps: never(later)}, {offset: 1, key: "b", steps: never(later)}}
		if failed := newWorld(records...).invoke(t, time.Minute, nil, records...); !slices.Equal(failed, []string{"orders-0@1"}) {
			t.Errorf("handed back %v", failed)
		}
	})
}

func TestABatchThatCannotBeHandledFailsLoudly(t *testing.T) {
	t.Parallel()
	trigger := msktrigger.New(newWorld().pipeline(t), nil)
	for event, want := range map[string]string{
		`{"eventSource":"aws:sqs"}`: "must be aws:kafka",
		eventOf("strange-0", `{"topic":"strange","partition":0,"offset":1}`): "reads topic strange, but orders",
	} {
		answer, err := trigger.Invoke(t.Context(), []byte(event))
		if answer != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answer %s, %v; want an error with %q", answer, err, want)
		}
	}
}

func TestTheContextOfHandlersEndsWithTheInvocation(t *testing.T) {
	t.Parallel()
	handling := make(chan context.Context, 1)
	handler := function.Raw(func(ctx context.Context, _ event.Event) ([]event.Event, error) {
		handling <- ctx
		return nil, ctx.Err()
	}, placed)
	w := newWorld()
	p, err := pipeline.New("group", []pipeline.Function{{Spec: w.spec, Handler: handler}}, w, w, nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := msktrigger.New(p, nil).Invoke(t.Context(), payload(record{offset: 1}))
	if ended := (<-handling).Err(); string(answer) != nothing || err != nil || ended == nil {
		t.Errorf("answer %s, %v; the handler's context ended with %v", answer, err, ended)
	}
}

// faulty panics when it is told of a record.
type faulty struct{}

func (faulty) Observe(*pipeline.Outcome) { panic("our own mistake") }

func TestAPanicOfTheRuntimeFailsTheBatch(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		records := []record{{offset: 1, key: "a"}, {offset: 2, key: "b", steps: []step{{takes: time.Hour}}}}
		w := newWorld(records...)
		p, err := pipeline.New("group", []pipeline.Function{{Spec: w.spec, Handler: function.Raw(w.handle, placed)}}, w, w,
			&pipeline.Options{Observers: []pipeline.Observer{faulty{}}})
		if err != nil {
			t.Fatal(err)
		}
		answer, err := msktrigger.New(p, nil).Invoke(t.Context(), payload(records...))
		failure, ok := errors.AsType[*msktrigger.InternalError](err)
		if answer != nil || !ok || failure.Value != "our own mistake" || !strings.Contains(err.Error(), "record orders/0@1: panic") {
			t.Errorf("answer %s, %v", answer, err)
		}
		if !strings.Contains(string(failure.Stack), "faulty") {
			t.Errorf("the stack does not name the culprit:\n%s", failure.Stack)
		}
	})
}

func TestAPanicOutsideOfARecordFailsTheBatchToo(t *testing.T) {
	t.Parallel()
	// A trigger without a pipeline is a mistake that only a panic tells of.
	answer, err := msktrigger.New(nil, nil).Invoke(t.Context(), payload(record{offset: 1}))
	if _, ok := errors.AsType[*msktrigger.InternalError](err); answer != nil || !ok || !strings.Contains(err.Error(), "Kafka trigger: panic: ") {
		t.Errorf("answer %s, %v", answer, err)
	}
}

func TestInvocationsAtTheSameTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var records []record
		for i := range 60 {
			r := record{partition: i % 3, offset: int64(i), key: string(rune('a' + i%7))}
			if i%5 == 0 {
				r.steps = slices.Repeat([]step{{err: errBoom}}, i%4)
			}
			records = append(records, r)
		}
		trigger := msktrigger.New(newWorld(records...).pipeline(t), nil)
		var invocations sync.WaitGroup
		for range 8 {
			invocations.Go(func() {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				if answer, err := trigger.Invoke(ctx, payload(records...)); string(answer) != nothing || err != nil {
					t.Errorf("answer %s, %v", answer, err)
				}
			})
		}
		invocations.Wait()
	})
}

// TestAnInvocationKnowsNothingOfTheOneBefore: what was finished in the workshop of an invocation is not finished in the next.
func TestAnInvocationKnowsNothingOfTheOneBefore(t *testing.T) {
	t.Parallel()
	var failure error
	handler := function.Raw(func(context.Context, event.Event) ([]event.Event, error) { return nil, failure }, placed)
	p, err := pipeline.New("group", []pipeline.Function{{Spec: newWorld().spec, Handler: handler}}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	trigger, batch := msktrigger.New(p, nil), typical(t, 30)
	ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
	defer cancel()
	for round := range 10 {
		for _, failure = range []error{nil, function.RetryAfter(24*time.Hour, errBoom), nil} {
			want := 0
			if failure != nil {
				want = 30
			}
			answer, err := trigger.Invoke(ctx, batch)
			if failed := handedBack(t, answer); len(failed) != want || err != nil {
				t.Errorf("round %d: handed back %d records, want %d: %v", round, len(failed), want, err)
			}
		}
	}
}

// TestWhatAHandlerKeepsIsItsOwn: an invocation works in the memory of one before, but not in what that gave away.
func TestWhatAHandlerKeepsIsItsOwn(t *testing.T) {
	t.Parallel()
	var kept []event.Event
	keep := func(_ context.Context, e event.Event) ([]event.Event, error) {
		kept = append(kept, e)
		return nil, nil
	}
	spec := newWorld().spec
	spec.Order = function.ByPartition // one handler at a time
	p, err := pipeline.New("group", []pipeline.Function{{Spec: spec, Handler: function.Raw(keep, placed)}}, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	trigger := msktrigger.New(p, nil)
	var want []string
	for i := range 20 {
		e := orderCreated(i)
		e.DataEncoded = fmt.Appendf(nil, `{"n":%d}`, i)
		want = append(want, e.String())
		if answer, err := trigger.Invoke(t.Context(), batchOf(t, e)); string(answer) != nothing || err != nil {
			t.Fatalf("answer %s, %v", answer, err)
		}
	}
	for i, e := range kept {
		if e.String() != want[i] {
			t.Errorf("event %d has become\n%s\nwas\n%s", i, e, want[i])
		}
	}
	if len(kept) != len(want) {
		t.Errorf("%d events, want %d", len(kept), len(want))
	}
}
