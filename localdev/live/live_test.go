package live_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	netmail "net/mail"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/live"
	"github.com/millrace/millrace/localdev/mail"
	"github.com/millrace/millrace/localdev/webhook"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const flow = "3f2a91c0-6e1b-4c8e-9d0e-5b8f3e6a7c21"

// watch returns what a View shows of what happens, in a world whose clock stands at midnight of the year 2000.
func watch(t *testing.T, o live.Options, happens func(*live.View)) string {
	t.Helper()
	var out bytes.Buffer
	synctest.Test(t, func(t *testing.T) {
		o.Functions = catalog.Functions()
		v := live.New(&out, &o)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- v.Run(ctx) }()
		happens(v)
		synctest.Wait()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return out.String()
}

func handled(t *testing.T, name, eventType, subject string, emits ...string) *pipeline.Outcome {
	t.Helper()
	e := cloudeventstest.Event(t, eventType, nil)
	e.SetID(name + "-1")
	e.SetSubject(subject)
	e.SetExtension(function.CorrelationID, flow)
	o := &pipeline.Outcome{
		Function: name, Group: "g", Event: e, Verdict: function.Done, Attempt: 1, Took: 2100 * time.Microsecond,
		Record: &pipeline.Record{Topic: "order-events", Partition: 1, Offset: 7, Timestamp: time.Now()},
	}
	for i, t := range emits {
		emitted := event.New()
		emitted.SetID(fmt.Sprintf("emitted-%d", i))
		emitted.SetType(t)
		o.Emitted = append(o.Emitted, emitted)
	}
	return o
}

// clock matches the times of lines, which are local.
var clock = regexp.MustCompile(`(?m)^\d\d:\d\d:\d\d\.\d\d\d`)

func lines(text string) []string {
	return strings.Split(strings.TrimSuffix(clock.ReplaceAllString(text, "TIME"), "\n"), "\n")
}

func TestAChainAtOneGlance(t *testing.T) {
	t.Parallel()
	got := watch(t, live.Options{}, func(v *live.View) {
		v.Observe(handled(t, "order-created", order.CreatedType, "order-17", notification.RequestedType))
		time.Sleep(21 * time.Millisecond)
		v.Mail(mail.Message{
			Received: time.Now(), To: []string{"ada@example.com"}, Subject: "Your order order-17",
			Header: netmail.Header{"Message-Id": {"<notification-requested-1@millrace.example>"}},
		})
		o := handled(t, "notification-requested", notification.RequestedType, "notification-order-17",
			notification.EmailSentType, notification.SentType)
		o.Event.SetExtension(function.CausationID, "order-created-1")
		v.Observe(o)
	})
	want := []string{
		"TIME  3e6a7c21  OrderCreated            order-17                              order-created           done, 2.1 ms → NotificationRequested",
		"TIME  3e6a7c21  NotificationRequested   notification-order-17                 notification-requested  done, 2.1 ms → EmailSent, NotificationSent",
		"TIME  3e6a7c21  mail                    ada@example.com                       notification-requested  delivered 21 ms after OrderCreated: Your order order-17",
	}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Error(diff)
	}
}

func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change func(*pipeline.Outcome)
		want   string
	}{
		"retry": {func(o *pipeline.Outcome) {
			o.Verdict, o.Err, o.After = function.Retry, errors.New("no luck"), 200*time.Millisecond
		}, "retry, 2.1 ms, again in 200 ms: no luck"},
		"second attempt": {func(o *pipeline.Outcome) { o.Attempt = 2 }, "done, attempt 2, 2.1 ms"},
		"dead letter": {func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.DeadLetter, errors.New("not valid")
		}, "dead-letter, 2.1 ms: not valid"},
		"dropped": {func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.Dropped, function.Drop("seen before")
		}, "dropped, 2.1 ms: seen before"},
		"unavailable": {func(o *pipeline.Outcome) {
			o.Verdict, o.Err, o.After = function.Broken, function.Unavailable("smtp", errors.New("refused")), 1500*time.Millisecond
		}, "unavailable, 2.1 ms, again in 1.5 s: smtp is unavailable: refused"},
		"unknown types": {func(o *pipeline.Outcome) { o.Emitted = make([]event.Event, 2) }, "done, 2.1 ms → 2 published"},
		"unknown time":  {func(o *pipeline.Outcome) { o.Took = 0 }, "done"},
		"slow":          {func(o *pipeline.Outcome) { o.Took = 61234 * time.Millisecond }, "done, 61.2 s"},
		"an error that takes over the terminal": {func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.Retry, errors.New("\x1b]0;owned\a\nnext \u202e line")
		}, `retry, 2.1 ms: \x1b]0;owned\a\nnext \u202e line`},
		"a long error": {func(o *pipeline.Outcome) {
			o.Verdict, o.Err = function.Retry, errors.New(strings.Repeat("x", 1000))
		}, "retry, 2.1 ms: " + strings.Repeat("x", 199) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := watch(t, live.Options{}, func(v *live.View) {
				o := handled(t, "order-created", order.CreatedType, "order-17")
				test.change(o)
				v.Observe(o)
			})
			const before = "TIME  3e6a7c21  OrderCreated            order-17                              order-created           "
			if diff := cmp.Diff([]string{before + test.want}, lines(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// The ids of orders, and of the flows that begin with them, are UUIDs of version 7: those of a minute begin in the same way.
func TestIDsOfTheSameMinuteAreToldApart(t *testing.T) {
	t.Parallel()
	got := lines(watch(t, live.Options{}, func(v *live.View) {
		for _, id := range []string{"01a2098b-02ff-7db8-8e80-e8e3accdc9da", "01a2098b-030f-798a-998f-96750d5dc7be"} {
			for _, subject := range []string{id, "notification-" + id} {
				o := handled(t, "order-created", order.CreatedType, subject)
				o.Event.SetExtension(function.CorrelationID, id)
				v.Observe(o)
			}
		}
	}))
	want := []string{
		"TIME  accdc9da  OrderCreated            01a2098b-02ff-7db8-8e80-e8e3accdc9da  order-created           done, 2.1 ms",
		"TIME  accdc9da  OrderCreated            notification-01a20…8e80-e8e3accdc9da  order-created           done, 2.1 ms",
	}
	if diff := cmp.Diff(want, got[:2]); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(got[2], "TIME  0d5dc7be  ") || !strings.Contains(got[3], "96750d5dc7be") {
		t.Errorf("shown:\n%s", strings.Join(got, "\n"))
	}
}

func TestARecordThatIsNoEvent(t *testing.T) {
	t.Parallel()
	got := watch(t, live.Options{}, func(v *live.View) {
		v.Observe(&pipeline.Outcome{
			Verdict: function.DeadLetter, Err: errors.New("neither nor"),
			Record: &pipeline.Record{Topic: "order-events", Message: kafkabinding.Message{Key: []byte("k\x00\xff")}},
		})
	})
	want := []string{`TIME            (not an event)          k\x00?                                                        dead-letter: neither nor`}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Error(diff)
	}
}

func TestWhatAFunctionPassesByIsNoNews(t *testing.T) {
	t.Parallel()
	got := watch(t, live.Options{}, func(v *live.View) {
		v.Observe(handled(t, "notification-requested", notification.SentType, "n"))
		passed := handled(t, "payment", order.DeliveredType, "order-17")
		passed.Verdict, passed.Err = function.Dropped, function.ErrPassedBy
		v.Observe(passed)
		others := handled(t, "", order.DeliveredType, "order-17")
		others.Verdict = function.Dropped
		v.Observe(others)
		failed := handled(t, "notification-requested", notification.SentType, "failed")
		failed.Verdict = function.Retry
		v.Observe(failed)
	})
	if all := lines(got); len(all) != 1 || !strings.Contains(all[0], "failed") {
		t.Errorf("shown:\n%s", got)
	}
}

func TestATypeThatIsMisspeltIsNews(t *testing.T) {
	t.Parallel()
	got := watch(t, live.Options{}, func(v *live.View) {
		o := handled(t, "", "dev.millrace.order.lost.v1", "order-17")
		o.Verdict = function.Dropped
		v.Observe(o)
	})
	if !strings.Contains(got, "  dev.millrac…er.lost.v1  ") || !strings.HasSuffix(got, "dropped, 2.1 ms: no function takes this type\n") {
		t.Errorf("shown:\n%s", got)
	}
}

func TestAMailOfAnUnknownChainIsShownLater(t *testing.T) {
	t.Parallel()
	got := watch(t, live.Options{}, func(v *live.View) {
		v.Mail(mail.Message{Received: time.Now(), To: []string{"ada@example.com"}, Subject: "Hello"})
		v.Webhook(webhook.Message{Received: time.Now(), ID: "w", Type: "notification.sms", Recipient: "ada", Subject: "Paid"})
		time.Sleep(3 * time.Second)
	})
	want := []string{
		"TIME            mail                    ada@example.com                                               delivered: Hello",
		"TIME            sms                     ada                                                           delivered: Paid",
	}
	if diff := cmp.Diff(want, lines(got)); diff != "" {
		t.Error(diff)
	}
}

func TestTooManyLinesAreSummedUp(t *testing.T) {
	t.Parallel()
	burst := func(v *live.View, n int) {
		for range n {
			v.Observe(handled(t, "order-created", order.CreatedType, "order"))
		}
		failed := handled(t, "order-paid", order.PaidType, "order-x")
		failed.Verdict, failed.Err = function.Retry, errors.New("no luck")
		v.Observe(failed)
	}
	got := lines(watch(t, live.Options{}, func(v *live.View) {
		burst(v, 100)
		time.Sleep(1500 * time.Millisecond)
		burst(v, 60)
		time.Sleep(time.Second)
		v.Observe(handled(t, "order-created", order.CreatedType, "still-summed-up"))
		time.Sleep(time.Second)
		v.Observe(handled(t, "order-created", order.CreatedType, "readable-again"))
	}))
	if len(got) != 50+2+2+1+1 {
		t.Fatalf("%d lines:\n%s", len(got), strings.Join(got, "\n"))
	}
	for i, want := range []string{
		"TIME  51 more: order-created done 50 · order-paid retry 1",
		"  for example: ",
		"TIME  61 more: order-created done 60 · order-paid retry 1",
		"  for example: ",
		"TIME  1 more: order-created done 1",
		"readable-again",
	} {
		if !strings.Contains(got[50+i], want) {
			t.Errorf("line %d is %q, want %q", 50+i, got[50+i], want)
		}
	}
}

// stuck is a terminal that does not go on until it is released.
type stuck struct {
	bytes.Buffer
	release chan struct{}
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.release
	return s.Buffer.Write(p)
}

func TestATerminalThatIsStuckStopsNobody(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		json bool
		want string
	}{
		"text": {false, "not shown "},
		"JSON": {true, `{"kind":"dropped","count":`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				out := &stuck{release: make(chan struct{})}
				v := live.New(out, &live.Options{JSON: test.json})
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- v.Run(ctx) }()
				for range 10_000 {
					v.Observe(handled(t, "order-created", order.CreatedType, "order"))
				}
				close(out.release)
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
				if !strings.Contains(out.String(), test.want) {
					t.Errorf("nothing says %q", test.want)
				}
			})
		})
	}
}

func TestAnErrorOfTheTerminalEndsIt(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	v := live.New(broken{gone}, nil)
	v.Print("hello")
	if err := v.Run(t.Context()); !errors.Is(err, gone) {
		t.Errorf("got %v, want %v", err, gone)
	}
}

type broken struct{ err error }

func (b broken) Write([]byte) (int, error) { return 0, b.err }

func TestJSON(t *testing.T) {
	t.Parallel()
	got := watch(t, live.Options{JSON: true, Color: true}, func(v *live.View) {
		v.Print(`{"kind":"started"}` + "\n")
		o := handled(t, "order-created", order.CreatedType, "order-17\u202e", notification.RequestedType)
		o.Verdict, o.Err, o.After = function.Retry, errors.New("no luck"), time.Second
		v.Observe(o)
	})
	all := strings.Split(strings.TrimSpace(got), "\n")
	if len(all) != 2 || strings.ContainsAny(got, "\x1b\u202e") {
		t.Fatalf("got %q", got)
	}
	var line map[string]any
	if err := json.Unmarshal([]byte(all[1]), &line); err != nil {
		t.Fatal(err)
	}
	delete(line, "time")
	want := map[string]any{
		"kind": "outcome", "correlationid": flow, "event": "order-created-1", "type": order.CreatedType, "about": "order-17\u202e",
		"function": "order-created", "record": "order-events/1@7", "outcome": "retry", "attempt": 1.0, "ms": 2.1,
		"error": "no luck", "retryMs": 1000.0,
		"emitted": []any{map[string]any{"id": "emitted-0", "type": notification.RequestedType}},
	}
	if diff := cmp.Diff(want, line); diff != "" {
		t.Error(diff)
	}
}

func TestColors(t *testing.T) {
	t.Parallel()
	show := func(correlation string, color bool) string {
		return watch(t, live.Options{Color: color}, func(v *live.View) {
			o := handled(t, "order-created", order.CreatedType, "order-17")
			o.Event.SetExtension(function.CorrelationID, correlation)
			v.Observe(o)
		})
	}
	if got := show(flow, false); strings.Contains(got, "\x1b") {
		t.Errorf("colours without a terminal: %q", got)
	}
	if got := show(flow, true); !strings.Contains(got, "\x1b[32mdone\x1b[0m") {
		t.Errorf("done is not green: %q", got)
	}
}

func TestTheCauseMayBeToldAfterItsEffect(t *testing.T) {
	t.Parallel()
	got := lines(watch(t, live.Options{}, func(v *live.View) {
		cause := handled(t, "order-paid", order.PaidType, "order-17", notification.RequestedType)
		time.Sleep(5 * time.Millisecond)
		v.Webhook(webhook.Message{Received: time.Now(), ID: "notification-requested-1", Type: "notification.sms", Subject: "Paid"})
		effect := handled(t, "notification-requested", notification.RequestedType, "n", notification.SentType)
		effect.Event.SetExtension(function.CausationID, cause.Event.ID())
		v.Observe(effect)
		v.Observe(cause)
	}))
	if want := "delivered 5.0 ms after OrderPaid: Paid"; len(got) != 3 || !strings.HasSuffix(got[2], want) {
		t.Errorf("shown:\n%s\nwant at the end: %s", strings.Join(got, "\n"), want)
	}
}

func TestACauseFromElsewhereIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	got := lines(watch(t, live.Options{}, func(v *live.View) {
		v.Webhook(webhook.Message{Received: time.Now(), ID: "notification-requested-1", Type: "notification.sms", Subject: "Paid"})
		v.Observe(handled(t, "notification-requested", notification.RequestedType, "n", notification.SentType))
		time.Sleep(3 * time.Second)
	}))
	if want := "delivered 0.0 ms after NotificationRequested: Paid"; len(got) != 2 || !strings.HasSuffix(got[1], want) {
		t.Errorf("shown:\n%s\nwant at the end: %s", strings.Join(got, "\n"), want)
	}
}

func TestOldEventsAreForgotten(t *testing.T) {
	t.Parallel()
	const events = 20_000
	got := watch(t, live.Options{JSON: true}, func(v *live.View) {
		for i := range events {
			o := handled(t, "order-created", order.CreatedType, "order")
			o.Event.SetID(fmt.Sprintf("event-%d", i))
			v.Observe(o)
			if i%1000 == 0 {
				synctest.Wait()
			}
		}
		for _, cause := range []string{"event-0", fmt.Sprintf("event-%d", events-1)} {
			o := handled(t, "notification-requested", notification.RequestedType, "n", notification.SentType)
			o.Event.SetExtension(function.CausationID, cause)
			o.Event.SetID("for-" + cause)
			v.Webhook(webhook.Message{Received: time.Now(), ID: o.Event.ID(), Type: "notification.sms"})
			v.Observe(o)
		}
	})
	for _, want := range []string{
		`"event":"for-event-0","type":"notification.sms","function":"notification-requested","ms":0,"since":"` + notification.RequestedType,
		`"event":"for-event-19999","type":"notification.sms","function":"notification-requested","ms":0,"since":"` + order.CreatedType,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no line has %s", want)
		}
	}
}
