package function_test

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/runtime/function"
)

// emittedID is [function.EmittedID], as RFC 9562 and its formula have it.
func emittedID(functionName, parentSource, parentID string, index int) string {
	return uuid.NewSHA1(uuid.MustParse("6a1f0f5e-7c0b-5d6e-9a54-2f1c7f9d8b11"), fmt.Appendf(nil, "%d:%s%d:%s%d:%s%d",
		len(functionName), functionName, len(parentSource), parentSource, len(parentID), parentID, index)).String()
}

// Names of any length, for short ones have room that long ones have not.
func TestEmittedIDIsItsFormula(t *testing.T) {
	t.Parallel()
	part := rapid.OneOf(rapid.String(), rapid.StringN(0, 400, -1))
	rapid.Check(t, func(t *rapid.T) {
		name, source, id, index := part.Draw(t, "name"), part.Draw(t, "source"), part.Draw(t, "id"), rapid.Int().Draw(t, "index")
		if got, want := function.EmittedID(name, source, id, index), emittedID(name, source, id, index); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

// stampBySDK is what [function.Stamp] and [function.Trace.Stamp] do, with the methods of the SDK alone.
func stampBySDK(s function.Spec, parent event.Event, events []event.Event, now time.Time, trace function.Trace) {
	correlation, _ := parent.Extensions()[function.CorrelationID].(string)
	if correlation == "" {
		correlation = parent.ID()
	}
	for i := range events {
		e := &events[i]
		if e.ID() == "" {
			e.SetID(emittedID(s.Name, parent.Source(), parent.ID(), i))
		}
		if e.Source() == "" {
			e.SetSource(s.Source)
		}
		if e.Time().IsZero() {
			e.SetTime(now.UTC())
		}
		e.SetExtension(function.CorrelationID, correlation)
		e.SetExtension(function.CausationID, parent.ID())
		if trace.IsZero() {
			continue
		}
		e.SetExtension(function.TraceParent, trace.Parent)
		e.SetExtension(function.TraceState, nil)
		if trace.State != "" {
			e.SetExtension(function.TraceState, trace.State)
		}
	}
}

func TestStampDoesWhatTheSDKDoes(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := cloudeventstest.Events().Draw(t, "parent")
		setSome(t, &in, function.CorrelationID, "", "flow-1", 7)
		events := rapid.SliceOfN(unstamped(), 1, 3).Draw(t, "events")
		want := make([]event.Event, len(events))
		for i := range events {
			want[i] = events[i].Clone()
		}
		spec := function.Spec{Name: "greet", Source: sources().Draw(t, "source")}
		now := rapid.SampledFrom([]time.Time{{}, time.Unix(1, 2)}).Draw(t, "now")
		trace := rapid.SampledFrom([]function.Trace{
			{}, {Parent: traceParent}, {Parent: traceParent, State: "a=b"},
		}).Draw(t, "trace")

		stampBySDK(spec, in, want, now, trace)
		function.Stamp(&spec, in, events, now)
		trace.Stamp(events)
		for i := range events {
			if !reflect.DeepEqual(events[i], want[i]) {
				t.Fatalf("event %d is\n%#v %v, want\n%#v %v", i, events[i].Context, events[i].FieldErrors, want[i].Context, want[i].FieldErrors)
			}
		}
	})
}

// Trace.Stamp may meet events without other extensions.
func TestTheStampOfATraceDoesWhatTheSDKDoes(t *testing.T) {
	t.Parallel()
	for name, extensions := range map[string]map[string]any{
		"nil": nil, "none": {}, "another": {"a": "b"}, "a state": {function.TraceState: "c=d"}, "a trace": {function.TraceParent: "nonsense"},
	} {
		got := event.Event{Context: &event.EventContextV1{Extensions: extensions}}
		want := got.Clone()
		want.SetExtension(function.TraceParent, traceParent)
		want.SetExtension(function.TraceState, nil)
		events := []event.Event{got}
		function.Trace{Parent: traceParent}.Stamp(events)
		if !reflect.DeepEqual(events[0], want) {
			t.Errorf("%s: got %v, want %v", name, events[0].Context, want.Context)
		}
	}
}

// sources draws sources as they stand in a Spec, of which some are not what they seem and one is none.
func sources() *rapid.Generator[string] {
	return rapid.SampledFrom([]string{"/", "/greet", "/greet/A_b-c.9", "//greet", "/gr eet", "/gr%20eet", "/greet?a#b", "urn:greet", "*", "greet", "%"})
}

// unstamped draws events as handlers return them: of either version, with and without what Stamp sets, and with errors.
func unstamped() *rapid.Generator[event.Event] {
	return rapid.Custom(func(t *rapid.T) event.Event {
		e := cloudeventstest.Events().Draw(t, "event")
		ec := e.Context.(*event.EventContextV1)
		if rapid.Bool().Draw(t, "no id") {
			ec.ID = ""
		}
		if rapid.Bool().Draw(t, "no source") {
			ec.Source = types.URIRef{}
		}
		if rapid.Bool().Draw(t, "has a source of a Spec's kind") {
			e.SetSource(sources().Draw(t, "own source"))
		}
		if rapid.Bool().Draw(t, "no extensions") {
			ec.Extensions = rapid.SampledFrom([]map[string]any{nil, {}}).Draw(t, "extensions")
		}
		setSome(t, &e, function.CorrelationID, "mine", 7, struct{}{})
		setSome(t, &e, function.TraceParent, "nonsense", traceParent)
		setSome(t, &e, function.TraceState, "c=d", struct{}{})
		if rapid.IntRange(0, 9).Draw(t, "version") == 0 {
			e.SetSpecVersion(event.CloudEventsVersionV03)
		}
		return e
	})
}

// setSome sets an extension to one of values, or leaves it as it is.
func setSome(t *rapid.T, e *event.Event, name string, values ...any) {
	if i := rapid.IntRange(-1, len(values)-1).Draw(t, name); i >= 0 {
		e.SetExtension(name, values[i])
	}
}

// Handlers may return events that share their attributes' map: what is set is the same for all.
func TestStampOfEventsThatShareTheirExtensions(t *testing.T) {
	t.Parallel()
	shared := map[string]any{function.PartitionKey: "k"}
	events := make([]event.Event, 2)
	for i := range events {
		events[i].Context = &event.EventContextV1{Extensions: shared}
	}
	function.Stamp(&function.Spec{Name: "greet"}, parent("p-1", "/meetings", ""), events, time.Now())
	for i, e := range events {
		if got := e.Extensions(); len(got) != 3 || got[function.CausationID] != "p-1" || e.ID() != emittedID("greet", "/meetings", "p-1", i) {
			t.Errorf("event %d: %v", i, e.Context)
		}
	}
}

//nolint:paralleltest // testing.AllocsPerRun refuses to run beside others
func TestStampAllocatesOnlyWhatItSets(t *testing.T) {
	spec := function.Spec{Name: "greet", Source: "/greet"}
	in, now := parent(parentID, "/meetings", "flow-1"), time.Now()
	ec := &event.EventContextV1{Extensions: map[string]any{function.PartitionKey: "k"}}
	events := []event.Event{{Context: ec}}
	if n := testing.AllocsPerRun(100, func() {
		ec.ID, ec.Source, ec.Time = "", types.URIRef{}, nil
		function.Stamp(&spec, in, events, now)
	}); n > 3 { // an id, a time, a causation
		t.Errorf("%g allocations", n)
	}
}
