package pipeline_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	inType  = "test.in.v1"
	outType = "test.out.v1"
)

// bundle is a pipeline of one function, with what it did.
type bundle struct {
	*pipeline.Pipeline

	calls    int
	sent     []pipeline.Output
	sendErr  error
	letters  []pipeline.Failure
	writeErr error
	outcomes []pipeline.Outcome
}

func (b *bundle) Send(_ context.Context, outputs ...pipeline.Output) error {
	if b.sendErr != nil {
		return b.sendErr
	}
	b.sent = append(b.sent, outputs...)
	return nil
}

func (b *bundle) Write(_ context.Context, f pipeline.Failure) error {
	if b.writeErr != nil {
		return b.writeErr
	}
	b.letters = append(b.letters, f)
	return nil
}

func (b *bundle) Observe(o *pipeline.Outcome) { b.outcomes = append(b.outcomes, *o) }

// handler is what the function under test does.
type handler func(context.Context, event.Event) ([]event.Event, error)

func setup(t *testing.T, handle handler) *bundle {
	t.Helper()
	b := &bundle{}
	counted := func(ctx context.Context, e event.Event) ([]event.Event, error) {
		b.calls++
		return handle(ctx, e)
	}
	var err error
	b.Pipeline, err = pipeline.New("group", []pipeline.Function{{
		Spec: function.Spec{
			Name:     "test",
			Topic:    "in",
			Emits:    []string{outType},
			Topics:   map[string]string{outType: "out"},
			New:      func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") },
			Attempts: 3,
		},
		Handler: function.Raw(counted, inType),
	}}, b, b, &pipeline.Options{
		Middleware: middleware.Standard(pipeline.Backoff{First: time.Second, Max: time.Minute}),
		Observers:  []pipeline.Observer{b},
		Waits:      pipeline.Backoff{First: time.Second, Max: 4 * time.Second},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func delivery(headers ...string) *pipeline.Delivery {
	d := &pipeline.Delivery{Record: pipeline.Record{Topic: "in", Partition: 1, Offset: 42}}
	d.Key, d.Value = []byte("key"), []byte(`{"n":1}`)
	for i := 0; i < len(headers); i += 2 {
		d.Headers = append(d.Headers, kafkabinding.Header{Key: []byte(headers[i]), Value: []byte(headers[i+1])})
	}
	return d
}

func cloudEvent(extra ...string) *pipeline.Delivery {
	return delivery(append([]string{
		"ce_specversion", "1.0", "ce_id", "e-1", "ce_source", "/test", "ce_type", inType, "content-type", "application/json",
	}, extra...)...)
}

func out(data string) event.Event {
	e := event.New()
	e.SetType(outType)
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = []byte(data)
	return e
}

func TestOutcomesOfAnAttempt(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tc := range []struct {
		name     string
		delivery *pipeline.Delivery
		handle   handler
		verdict  function.Verdict
		finished bool
		class    string
		calls    int
	}{
		{
			name: "success", delivery: cloudEvent(), calls: 1, verdict: function.Done, finished: true,
			handle: func(context.Context, event.Event) ([]event.Event, error) { return nil, nil },
		}, {
			name: "plain error", delivery: cloudEvent(), calls: 1, verdict: function.Retry,
			handle: func(context.Context, event.Event) ([]event.Event, error) { return nil, boom },
		}, {
			name: "panic", delivery: cloudEvent(), calls: 1, verdict: function.Retry,
			handle: func(context.Context, event.Event) ([]event.Event, error) { panic("boom") },
		}, {
			name: "permanent", delivery: cloudEvent(), calls: 1, verdict: function.DeadLetter, finished: true, class: "permanent",
			handle: func(context.Context, event.Event) ([]event.Event, error) { return nil, function.Permanent(boom) },
		}, {
			name: "drop", delivery: cloudEvent(), calls: 1, verdict: function.Dropped, finished: true,
			handle: func(context.Context, event.Event) ([]event.Event, error) { return nil, function.Drop("why not") },
		}, {
			name: "unavailable", delivery: cloudEvent(), calls: 1, verdict: function.Broken,
			handle: func(context.Context, event.Event) ([]event.Event, error) {
				return nil, function.Unavailable("db", boom)
			},
		}, {
			name: "undecodable", delivery: delivery(), verdict: function.DeadLetter, finished: true, class: function.ClassUndecodable,
		}, {
			name: "half a CloudEvent", delivery: delivery("ce_id", "1"), verdict: function.DeadLetter, finished: true,
			class: function.ClassUndecodable,
		}, {
			name: "type that nobody accepts", verdict: function.Dropped, finished: true,
			delivery: delivery("ce_specversion", "1.0", "ce_id", "1", "ce_source", "/test", "ce_type", "other.v1"),
		}, {
			name: "event of a type that the Spec does not name", delivery: cloudEvent(), calls: 1,
			verdict: function.DeadLetter, finished: true, class: function.ClassOutput,
			handle: func(context.Context, event.Event) ([]event.Event, error) {
				e := out(`{}`)
				e.SetType("other.v1")
				return []event.Event{e}, nil
			},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, tc.handle)
			_, finished := b.Handle(t.Context(), tc.delivery)
			if finished != tc.finished || b.calls != tc.calls {
				t.Errorf("finished %t after %d calls, want %t after %d", finished, b.calls, tc.finished, tc.calls)
			}
			if len(b.outcomes) != 1 || b.outcomes[0].Verdict != tc.verdict {
				t.Fatalf("outcomes %v, want one with verdict %s", b.outcomes, tc.verdict)
			}
			if tc.class == "" && len(b.letters) > 0 {
				t.Errorf("dead letter %v", b.letters)
			}
			if tc.class != "" && (len(b.letters) != 1 || b.letters[0].Class != tc.class) {
				t.Errorf("dead letters %v, want one of class %s", b.letters, tc.class)
			}
		})
	}
}

func TestAttemptsAreBounded(t *testing.T) {
	t.Parallel()
	b := setup(t, func(context.Context, event.Event) ([]event.Event, error) { return nil, errors.New("boom") })
	d := cloudEvent()
	for attempt := 1; attempt < 3; attempt++ {
		again, finished := b.Handle(t.Context(), d)
		first := time.Second << (attempt - 1)
		if finished || again < first/2 || again > first {
			t.Fatalf("attempt %d: finished %t, again after %s; want a wait of %s to %s", attempt, finished, again, first/2, first)
		}
	}
	if _, finished := b.Handle(t.Context(), d); !finished {
		t.Fatal("not finished after its last attempt")
	}
	if b.calls != 3 || len(b.letters) != 1 {
		t.Fatalf("%d calls and %d dead letters, want 3 and 1", b.calls, len(b.letters))
	}
	f := b.letters[0]
	if f.Class != function.ClassExhausted || f.Attempts != 3 || f.EventID != "e-1" || f.Function != "test" || f.Group != "group" {
		t.Errorf("dead letter %+v", f)
	}
	if !f.First.Before(f.Last) {
		t.Errorf("first failure %s, last %s", f.First, f.Last)
	}
}

func TestAnUnavailableDependencySpendsNoAttempt(t *testing.T) {
	t.Parallel()
	b := setup(t, func(context.Context, event.Event) ([]event.Event, error) {
		return nil, function.Unavailable("db", errors.New("connection refused"))
	})
	d := cloudEvent()
	for range 100 {
		again, finished := b.Handle(t.Context(), d)
		if finished || again > 4*time.Second {
			t.Fatalf("finished %t, again after %s", finished, again)
		}
	}
	if d.Attempts != 0 || len(b.letters) != 0 {
		t.Errorf("%d attempts spent, %d dead letters", d.Attempts, len(b.letters))
	}
}

func TestADeadLetterThatCannotBeWrittenKeepsTheRecord(t *testing.T) {
	t.Parallel()
	b := setup(t, func(context.Context, event.Event) ([]event.Event, error) {
		return nil, function.Permanent(errors.New("boom"))
	})
	b.writeErr = errors.New("broker away")
	d := cloudEvent()
	for range 3 {
		again, finished := b.Handle(t.Context(), d)
		if finished || again <= 0 {
			t.Fatalf("finished %t, again after %s while the dead letter is not written", finished, again)
		}
	}
	if b.calls != 1 {
		t.Errorf("handler called %d times, want once: only the dead letter is tried again", b.calls)
	}
	for _, o := range b.outcomes {
		if o.Event.ID() != "e-1" {
			t.Errorf("outcome of event %q", o.Event.ID())
		}
		if o.Verdict != function.Broken || !strings.Contains(o.Err.Error(), "broker away") {
			t.Errorf("outcome %s: %v", o.Verdict, o.Err)
		}
	}
	b.writeErr = nil
	if _, finished := b.Handle(t.Context(), d); !finished || len(b.letters) != 1 {
		t.Errorf("finished %t with %d dead letters after the broker came back", finished, len(b.letters))
	}
}

func TestEventsArePublishedBeforeTheRecordIsFinished(t *testing.T) {
	t.Parallel()
	b := setup(t, func(context.Context, event.Event) ([]event.Event, error) {
		return []event.Event{out(`{"n":1}`), out(`{"n":2}`)}, nil
	})
	b.sendErr = function.Unavailable("kafka", errors.New("no replicas"))
	d := cloudEvent("ce_correlationid", "flow-1")
	if _, finished := b.Handle(t.Context(), d); finished {
		t.Fatal("finished although its events were not published")
	}
	b.sendErr = nil
	if _, finished := b.Handle(t.Context(), d); !finished {
		t.Fatal("not finished")
	}
	if len(b.sent) != 2 || b.sent[0].Topic != "out" {
		t.Fatalf("sent %v", b.sent)
	}
	for i, o := range b.sent {
		want := function.EmittedID("test", "/test", "e-1", i)
		extensions := o.Event.Extensions()
		if o.Event.ID() != want || o.Event.Source() != "/test" ||
			extensions[function.CorrelationID] != "flow-1" || extensions[function.CausationID] != "e-1" {
			t.Errorf("event %d: %v", i, o.Event.Context)
		}
	}
}

// A process may be stopped after its record was picked up, and go on when another one owns the partition.
func TestNoHandlerIsCalledForARecordThatIsNotOwnedAnyMore(t *testing.T) {
	t.Parallel()
	b := setup(t, func(context.Context, event.Event) ([]event.Event, error) { return nil, nil })
	d, owned := cloudEvent(), false
	d.Owned = func() bool { return owned }
	for range 100 {
		if again, finished := b.Handle(t.Context(), d); finished || again <= 0 {
			t.Fatalf("finished %t, again after %s", finished, again)
		}
	}
	if b.calls != 0 || d.Attempts != 0 || len(b.letters) != 0 {
		t.Errorf("%d calls, %d attempts spent, %d dead letters", b.calls, d.Attempts, len(b.letters))
	}
	owned = true
	if _, finished := b.Handle(t.Context(), d); !finished || b.calls != 1 {
		t.Errorf("finished %t after %d calls when it is owned again", finished, b.calls)
	}
}

func TestWhatEndsWithItsContextIsLeftForTheNextOwner(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := setup(t, func(ctx context.Context, _ event.Event) ([]event.Event, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	if _, finished := b.Handle(ctx, cloudEvent()); finished || len(b.outcomes) != 0 || len(b.letters) != 0 {
		t.Errorf("finished %t, outcomes %v, dead letters %v", finished, b.outcomes, b.letters)
	}
}

func TestAHandlerThatOutlastsItsContextPublishesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	b := setup(t, func(context.Context, event.Event) ([]event.Event, error) {
		cancel()
		return []event.Event{out(`{"n":1}`)}, nil
	})
	d := cloudEvent()
	if _, finished := b.Handle(ctx, d); finished || len(b.sent) != 0 || d.Attempts != 0 {
		t.Errorf("finished %t, sent %v, %d attempts spent", finished, b.sent, d.Attempts)
	}
}

func TestNewRefusesAmbiguousFunctions(t *testing.T) {
	t.Parallel()
	f := func(name, emits string) pipeline.Function {
		return pipeline.Function{
			Spec: function.Spec{Name: name, Topic: "in", Emits: slices.DeleteFunc([]string{emits}, func(s string) bool { return s == "" }),
				New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }},
			Handler: function.Raw(nil, inType),
		}
	}
	b := &bundle{}
	for _, tc := range []struct {
		name      string
		functions []pipeline.Function
		want      string
	}{
		{"two for one type", []pipeline.Function{f("a", ""), f("b", "")}, "functions a and b of group g both accept type test.in.v1"},
		{"no topic", []pipeline.Function{f("a", "unknown.v1")}, "function a emits type unknown.v1, which has no topic"},
		{"bad name", []pipeline.Function{f("A b", "")}, "Name must be lower-case words"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := pipeline.New("g", tc.functions, b, b, nil)
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("New() = %v, want an error with %q", err, tc.want)
			}
		})
	}
}

func TestParkCopiesTheBytesOnce(t *testing.T) {
	t.Parallel()
	d := cloudEvent()
	value := d.Value
	d.Park()
	copied := d.Value
	d.Park()
	value[0] = 'X'
	if string(d.Value) != `{"n":1}` || &copied[0] != &d.Value[0] || string(d.Headers[0].Key) != "ce_specversion" {
		t.Errorf("after Park: %s", d.Value)
	}
}
