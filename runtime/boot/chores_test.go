package boot_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// worker is a handler with chores, and one that wants to be closed.
type worker struct {
	function.Handler

	chores []function.Chore
	closed func()
}

func (w *worker) Chores() []function.Chore { return w.chores }

func (w *worker) Close() error {
	if w.closed != nil {
		w.closed()
	}
	return nil
}

// working returns the spec of a function that has these chores and handles events by handle, which may be nil.
func (b *bundle) working(t *testing.T, w *worker, handle func(context.Context, event.Event) ([]event.Event, error)) function.Spec {
	t.Helper()
	spec := b.spec(t)
	whole := spec.New
	spec.New = func(lookup function.Lookup) (function.Handler, error) {
		h, err := whole(lookup)
		if handle != nil {
			h = function.Raw(handle, inType)
		}
		w.Handler = h
		return w, err
	}
	return spec
}

// fact returns an event as an outbox keeps it: complete.
func fact(id string) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetType(outType)
	e.SetSource("/shop")
	e.SetExtension(function.PartitionKey, "k")
	return e
}

// box is an outbox in memory.
type box struct {
	mu   sync.Mutex
	rows []event.Event
	wake chan struct{}
}

func newBox() *box { return &box{wake: make(chan struct{}, 1)} }

func (b *box) put(e event.Event) {
	b.mu.Lock()
	b.rows = append(b.rows, e)
	b.mu.Unlock()
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// relay is its chore.
func (b *box) relay(topic string) function.Chore {
	return function.Chore{
		Name: "outbox", Every: time.Hour, Wake: b.wake, Topics: []string{topic},
		Run: func(ctx context.Context, publish function.Publish) error {
			b.mu.Lock()
			defer b.mu.Unlock()
			if errs := publish(ctx, topic, b.rows...); errs != nil {
				return errors.Join(errs...)
			}
			b.rows = nil
			return nil
		},
	}
}

func TestAChorePublishesWhenItIsWoken(t *testing.T) {
	t.Parallel()
	b := setup(t)
	outbox := newBox()
	outbox.put(fact("left by the process before"))
	b.start(t, b.working(t, &worker{chores: []function.Chore{outbox.relay(b.out)}}, nil))
	b.Records(t, b.out, 1)
	outbox.put(fact("b"))
	outbox.put(fact("c"))
	var ids []string
	for _, r := range b.Records(t, b.out, 3) {
		ids = append(ids, header(r, "ce_id"))
		if string(r.Key) != "k" {
			t.Errorf("key %q", r.Key)
		}
		if header(r, "ce_causationid")+header(r, "ce_correlationid") != "" {
			t.Errorf("headers %v were added", r.Headers)
		}
	}
	if want := []string{"left by the process before", "b", "c"}; !slices.Equal(ids, want) {
		t.Errorf("published %q, want %q", ids, want)
	}
}

func TestAFailingChoreTurnsReadinessRedUntilItSucceeds(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func() error{
		"error": func() error { return errors.New("disk is full") },
		"panic": func() error { panic("disk is full") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			var mended atomic.Bool
			b.start(t, b.working(t, &worker{chores: []function.Chore{
				{Name: "tidy", Every: time.Hour, Run: func(context.Context, function.Publish) error {
					if mended.Load() {
						return nil
					}
					return fail()
				}},
				{Name: "fine", Run: func(context.Context, function.Publish) error { return nil }},
			}}, nil))
			runtimetest.Eventually(t, "red", func() bool {
				status, body := b.get(t, "/readyz")
				return status == http.StatusServiceUnavailable && strings.Contains(body, "chore tidy of answer") && strings.Contains(body, "disk is full")
			})
			mended.Store(true)
			runtimetest.Eventually(t, "green", func() bool { status, _ := b.get(t, "/readyz"); return status == http.StatusOK })
			_, metrics := b.get(t, "/metrics")
			for _, want := range []string{
				`chore_errors_total{chore="fine",program="answer"} 0`, `chore_errors_total{chore="tidy",program="answer"} `,
				`chore_runs_total{chore="fine",program="answer"} `, `chore_duration_seconds_count{chore="tidy",program="answer"} `,
			} {
				if !strings.Contains(metrics, want) {
					t.Errorf("no %s in the metrics", want)
				}
			}
			if strings.Contains(metrics, `chore_errors_total{chore="tidy",program="answer"} 0`) {
				t.Error("no error is counted")
			}
		})
	}
}

// What a handler leaves behind in its last moment is published, and its database is closed only then.
func TestTheLastRunComesBehindTheHandlersAndTheCloseBehindBoth(t *testing.T) {
	t.Parallel()
	b := setup(t)
	outbox := newBox()
	running, leave := make(chan struct{}), make(chan struct{})
	var closed atomic.Bool
	relay := outbox.relay(b.out)
	relay.Wake = nil
	run := relay.Run
	relay.Run = func(ctx context.Context, publish function.Publish) error {
		if closed.Load() {
			t.Error("a chore runs on what is closed")
		}
		return run(ctx, publish)
	}
	handle := func(context.Context, event.Event) ([]event.Event, error) {
		close(running)
		<-leave
		if closed.Load() {
			t.Error("a handler runs on what is closed")
		}
		outbox.put(fact("last"))
		return nil, nil
	}
	spec := b.working(t, &worker{chores: []function.Chore{relay}, closed: func() { closed.Store(true) }}, handle)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, b.lookup, []function.Spec{spec}, &boot.Options{Log: slog.New(slog.DiscardHandler)})
	}()
	b.send(t, "a1")
	receive(t, running, "call of the handler")
	cancel()
	runtimetest.Eventually(t, "readiness tells that it stops", func() bool {
		status, body := b.get(t, "/readyz")
		return status == http.StatusServiceUnavailable && strings.Contains(body, "told to stop")
	})
	close(leave)
	if err := receive(t, ended, "end"); err != nil {
		t.Fatal(err)
	}
	if !closed.Load() {
		t.Error("the handler was not closed")
	}
	if r := b.Records(t, b.out, 1)[0]; header(r, "ce_id") != "last" {
		t.Errorf("published %v", r.Headers)
	}
}

func TestAChoreThatDoesNotMindItsContextIsLeftBehind(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.environment["DRAIN_TIMEOUT"] = "0s"
	stuck, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	spec := b.working(t, &worker{chores: []function.Chore{{Name: "stuck", Run: func(context.Context, function.Publish) error {
		close(stuck)
		<-release
		return nil
	}}}}, nil)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, b.lookup, []function.Spec{spec}, &boot.Options{Log: slog.New(slog.DiscardHandler)})
	}()
	receive(t, stuck, "run of the chore")
	cancel()
	if err := receive(t, ended, "end"); err != nil {
		t.Error(err)
	}
}

// The outcome of each event is told apart, and one that can never be published does not keep the others back.
func TestPublishTellsTheOutcomeOfEachEvent(t *testing.T) {
	t.Parallel()
	b := setup(t)
	outcomes := make(chan []error, 1)
	large := fact("large")
	if err := large.SetData(event.ApplicationJSON, strings.Repeat("x", 2<<20)); err != nil {
		t.Fatal(err)
	}
	b.start(t, b.working(t, &worker{chores: []function.Chore{{Name: "once", Every: time.Hour, Run: func(ctx context.Context, publish function.Publish) error {
		select {
		case outcomes <- publish(ctx, b.out, fact("a"), large, fact("b")):
		default:
		}
		return nil
	}}}}, nil))
	errs := receive(t, outcomes, "outcome")
	if len(errs) != 3 || errs[0] != nil || errs[2] != nil || function.VerdictOf(errs[1]) != function.DeadLetter || !strings.Contains(errs[1].Error(), "large") {
		t.Errorf("outcomes %v", errs)
	}
	b.Records(t, b.out, 2)
}

func TestChoresThatKeepAProgramFromStarting(t *testing.T) {
	t.Parallel()
	run := func(context.Context, function.Publish) error { return nil }
	for _, tc := range []struct {
		name   string
		chores []function.Chore
		want   string
	}{
		{"no topic", []function.Chore{{Name: "outbox", Run: run, Topics: []string{"absent"}}}, "chore outbox of answer publishes: topic absent does not exist"},
		{"no name", []function.Chore{{Run: run}}, `answer: chore "": Name must be`},
		{"one name twice", []function.Chore{{Name: "outbox", Run: run}, {Name: "outbox", Run: run}}, `answer: chore "outbox": there are two`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			closed := false
			spec := b.working(t, &worker{chores: tc.chores, closed: func() { closed = true }}, nil)
			err := boot.Run(t.Context(), b.lookup, []function.Spec{spec}, &boot.Options{Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("Run() = %v, want an error with %q", err, tc.want)
			}
			if !closed {
				t.Error("the handler was not closed")
			}
		})
	}
}
