package pipeline_test

import (
	"context"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	ofEvent  = "00-11111111111111111111111111111111-1111111111111111-01"
	ofHeader = "00-22222222222222222222222222222222-2222222222222222-01"
	ofSpan   = "00-33333333333333333333333333333333-3333333333333333-01"
)

func TestEmittedEventsCarryTheTrace(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		headers []string
		// span is what a middleware sets.
		span, want function.Trace
	}{
		{name: "none"},
		{
			name: "the event's", headers: []string{"ce_traceparent", ofEvent, "ce_tracestate", "a=b", "traceparent", ofHeader},
			want: function.Trace{Parent: ofEvent, State: "a=b"},
		},
		{
			name: "the header's", headers: []string{"traceparent", ofHeader, "tracestate", "c=d", "traceparent", ofSpan},
			want: function.Trace{Parent: ofHeader, State: "c=d"},
		},
		{
			name: "the header's, for the event's is malformed", headers: []string{"ce_traceparent", "nonsense", "traceparent", ofHeader},
			want: function.Trace{Parent: ofHeader},
		},
		{
			name: "the span's", headers: []string{"ce_traceparent", ofEvent, "ce_tracestate", "a=b"},
			span: function.Trace{Parent: ofSpan}, want: function.Trace{Parent: ofSpan},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := &bundle{}
			p := answering(t, b, &pipeline.Options{
				Middleware: func(function.Spec) []pipeline.Middleware { return []pipeline.Middleware{setsTrace(tc.span)} },
				Observers:  []pipeline.Observer{b},
			})
			if _, finished := p.Handle(t.Context(), cloudEvent(tc.headers...)); !finished {
				t.Fatalf("not finished: %v", b.outcomes)
			}
			if got := function.TraceOf(b.sent[0].Event); got != tc.want {
				t.Errorf("emitted with %v, want %v", got, tc.want)
			}
			if got := b.outcomes[0].Trace(); got != tc.want {
				t.Errorf("observed with %v, want %v", got, tc.want)
			}
		})
	}
}

func TestAnAttemptBeginsWithoutTheSpanOfTheLast(t *testing.T) {
	t.Parallel()
	var seen []function.Trace
	b := &bundle{}
	p := answering(t, b, &pipeline.Options{Middleware: func(function.Spec) []pipeline.Middleware {
		return []pipeline.Middleware{func(next pipeline.Handler) pipeline.Handler {
			return func(ctx context.Context, d *pipeline.Delivery) error {
				seen = append(seen, d.Trace())
				d.SetTrace(function.Trace{Parent: ofSpan})
				return next(ctx, d)
			}
		}}
	}})
	d := cloudEvent("ce_traceparent", ofEvent)
	for range 2 {
		p.Handle(t.Context(), d)
	}
	if want := (function.Trace{Parent: ofEvent}); len(seen) != 2 || seen[0] != want || seen[1] != want {
		t.Errorf("got %v", seen)
	}
}

func TestTheTraceOfARecordThatCannotBeDecoded(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.Handle(t.Context(), delivery("traceparent", ofHeader))
	if got := b.outcomes[0].Trace(); got.Parent != ofHeader {
		t.Errorf("got %v", got)
	}
}

// answering returns a pipeline whose function answers each event with another.
func answering(t *testing.T, b *bundle, o *pipeline.Options) *pipeline.Pipeline {
	t.Helper()
	p, err := pipeline.New("group", []pipeline.Function{{
		Spec: function.Spec{
			Name: "test", Topic: "in", Emits: []string{outType}, Topics: map[string]string{outType: "out"},
			New: func(function.Lookup) (function.Handler, error) { return nil, context.Canceled },
		},
		Handler: function.Raw(func(context.Context, event.Event) ([]event.Event, error) {
			return []event.Event{out(`{}`)}, nil
		}, inType),
	}}, b, b, o)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// setsTrace returns a middleware that gives each attempt a span, unless it is the zero Trace.
func setsTrace(span function.Trace) pipeline.Middleware {
	return func(next pipeline.Handler) pipeline.Handler {
		return func(ctx context.Context, d *pipeline.Delivery) error {
			if !span.IsZero() {
				d.SetTrace(span)
			}
			return next(ctx, d)
		}
	}
}
