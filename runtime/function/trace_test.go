package function_test

import (
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/millrace/millrace/runtime/function"
)

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

var traceParents = map[string]struct {
	parent string
	valid  bool
}{
	"an example of the specification": {traceParent, true},
	"not sampled":                     {strings.TrimSuffix(traceParent, "1") + "0", true},
	"a later version":                 {"cc" + traceParent[2:], true},
	"a later version with more":       {"cc" + traceParent[2:] + "-what-comes", true},
	"none":                            {"", false},
	"upper case":                      {strings.ToUpper(traceParent), false},
	"version ff":                      {"ff" + traceParent[2:], false},
	"version 00 with more":            {traceParent + "-more", false},
	"a later version, glued":          {"cc" + traceParent[2:] + "more", false},
	"a trace of zeros":                {"00-" + strings.Repeat("0", 32) + "-00f067aa0ba902b7-01", false},
	"a span of zeros":                 {"00-4bf92f3577b34da6a3ce929d0e0e4736-" + strings.Repeat("0", 16) + "-01", false},
	"cut off":                         {traceParent[:54], false},
	"no digits":                       {strings.Replace(traceParent, "4bf", "xyz", 1), false},
	"other separators":                {strings.ReplaceAll(traceParent, "-", "_"), false},
	"far too long":                    {"cc" + traceParent[2:] + "-" + strings.Repeat("x", 1<<20), false},
}

func TestTraceParents(t *testing.T) {
	t.Parallel()
	for name, test := range traceParents {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := function.NewTrace(test.parent, "a=b")
			if got.IsZero() == test.valid {
				t.Errorf("%s: got %v", test.parent, got)
			}
			if test.valid && (got.Parent != test.parent || got.State != "a=b" || got.ID() != traceParent[3:35]) {
				t.Errorf("got %v with id %s", got, got.ID())
			}
		})
	}
}

func TestALongTraceStateIsLeftOut(t *testing.T) {
	t.Parallel()
	if got := function.NewTrace(traceParent, strings.Repeat("x", 513)); got != (function.Trace{Parent: traceParent}) {
		t.Errorf("got %v", got)
	}
}

func TestTraceOfEvents(t *testing.T) {
	t.Parallel()
	traced := parent("p", "/s", "")
	traced.SetExtension(function.TraceParent, traceParent)
	traced.SetExtension(function.TraceState, "a=b")
	odd := parent("p", "/s", "")
	odd.SetExtension(function.TraceParent, 7)
	for name, test := range map[string]struct {
		event event.Event
		want  function.Trace
	}{
		"traced":   {traced, function.Trace{Parent: traceParent, State: "a=b"}},
		"untraced": {parent("p", "/s", ""), function.Trace{}},
		"a number": {odd, function.Trace{}},
		"no event": {event.Event{}, function.Trace{}},
	} {
		if got := function.TraceOf(test.event); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestStampOfTraces(t *testing.T) {
	t.Parallel()
	stamped := func(before, stamp function.Trace) function.Trace {
		events := []event.Event{parent("p", "/s", "")}
		before.Stamp(events)
		stamp.Stamp(events)
		if err := events[0].Validate(); err != nil {
			t.Error(err)
		}
		return function.TraceOf(events[0])
	}
	first := function.Trace{Parent: traceParent, State: "a=b"}
	second := function.Trace{Parent: strings.Replace(traceParent, "4bf", "5bf", 1)}
	for name, test := range map[string]struct{ before, stamp, want function.Trace }{
		"set":               {function.Trace{}, first, first},
		"kept":              {first, function.Trace{}, first},
		"replaced, whole":   {first, second, second},
		"of none, no trace": {},
	} {
		if got := stamped(test.before, test.stamp); got != test.want {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

// FuzzTraceParent: what OpenTelemetry takes for a traceparent is one, and names the same trace.
func FuzzTraceParent(f *testing.F) {
	for _, test := range traceParents {
		f.Add(test.parent)
	}
	f.Fuzz(func(t *testing.T, parent string) {
		got := function.NewTrace(parent, "")
		ctx := propagation.TraceContext{}.Extract(t.Context(), propagation.MapCarrier{function.TraceParent: parent})
		span := trace.SpanContextFromContext(ctx)
		if span.IsValid() && len(parent) <= 256 && got.ID() != span.TraceID().String() {
			t.Errorf("%q: got %q, OpenTelemetry finds %s", parent, got.ID(), span.TraceID())
		}
	})
}

func TestTheTraceOfAContext(t *testing.T) {
	t.Parallel()
	if got := function.TraceFrom(t.Context()); !got.IsZero() {
		t.Errorf("got %+v", got)
	}
	want := function.NewTrace("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "a=b")
	ctx := function.WithTrace(t.Context(), want)
	if got := function.TraceFrom(function.WithTrace(ctx, function.Trace{})); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}
