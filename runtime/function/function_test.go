package function_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/function"
)

type greeted struct {
	Name string `json:"name"`
}

func (greeted) EventType() string     { return "test.greeted.v1" }
func (g greeted) AggregateID() string { return "greeting-" + g.Name }

type keyedGreeting struct{ greeted }

func (g keyedGreeting) PartitionKey() string { return g.Name }

func parent(id, source, correlation string) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetSource(source)
	e.SetType("test.met.v1")
	if correlation != "" {
		e.SetExtension(function.CorrelationID, correlation)
	}
	return e
}

func TestVerdictOf(t *testing.T) {
	t.Parallel()
	boom := errors.New("boom")
	for _, tc := range []struct {
		name string
		err  error
		want function.Verdict
	}{
		{"nil", nil, function.Done},
		{"plain", boom, function.Retry},
		{"context", context.DeadlineExceeded, function.Retry},
		{"permanent", function.Permanent(boom), function.DeadLetter},
		{"wrapped permanent", fmt.Errorf("while: %w", function.Permanent(boom)), function.DeadLetter},
		{"retry after", function.RetryAfter(time.Second, boom), function.Retry},
		{"unavailable", function.Unavailable("db", boom), function.Broken},
		{"drop", function.Drop("why not"), function.Dropped},
		{"permanent and unavailable", errors.Join(function.Unavailable("db", boom), function.Permanent(boom)), function.DeadLetter},
		{"drop and permanent", errors.Join(function.Permanent(boom), function.Drop("x")), function.Dropped},
		{"permanent nothing", function.Permanent(nil), function.Done},
		{"unavailable nothing", function.Unavailable("db", nil), function.Done},
		{"retry nothing", function.RetryAfter(time.Second, nil), function.Done},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := function.VerdictOf(tc.err); got != tc.want {
				t.Errorf("VerdictOf(%v) = %s, want %s", tc.err, got, tc.want)
			}
			if tc.want == function.Retry || tc.want == function.DeadLetter || tc.want == function.Broken {
				if strings.Contains(tc.name, "context") {
					return
				}
				if !errors.Is(tc.err, boom) {
					t.Errorf("%v does not wrap its cause", tc.err)
				}
			}
		})
	}
}

func TestEmitSetsTypeSubjectKeyAndData(t *testing.T) {
	t.Parallel()
	events, err := function.Emit(parent("p", "/s", ""), greeted{"ann"}, keyedGreeting{greeted{"bob"}})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct{ subject, key, data string }{
		{"greeting-ann", "greeting-ann", `{"name":"ann"}`},
		{"greeting-bob", "bob", `{"name":"bob"}`},
	} {
		e := events[i]
		if e.Type() != "test.greeted.v1" || e.Subject() != want.subject || e.Extensions()[function.PartitionKey] != want.key ||
			string(e.Data()) != want.data || e.DataContentType() != event.ApplicationJSON {
			t.Errorf("event %d: %s", i, e)
		}
	}
}

func TestStampCompletesWhatIsMissing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.FixedZone("east", 3600))
	spec, _ := function.Spec{Name: "greet"}.Complete()
	for _, tc := range []struct{ name, correlation, want string }{
		{"kept", "flow-1", "flow-1"},
		{"begun with the parent", "", "p-1"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			in := parent("p-1", "/meetings", tc.correlation)
			own := parent("own", "/elsewhere", "mine")
			events, err := function.Emit(in, greeted{"ann"})
			if err != nil {
				t.Fatal(err)
			}
			events = append(events, own)
			function.Stamp(&spec, in, events, now)
			e := events[0]
			if e.ID() != function.EmittedID("greet", "/meetings", "p-1", 0) || e.Source() != "/greet" || !e.Time().Equal(now) || e.Time().Location() != time.UTC {
				t.Errorf("stamped %s", e)
			}
			if events[1].ID() != "own" || events[1].Source() != "/elsewhere" {
				t.Errorf("id or source of %s was overwritten", events[1])
			}
			for _, e := range events {
				if e.Extensions()[function.CorrelationID] != tc.want || e.Extensions()[function.CausationID] != "p-1" {
					t.Errorf("correlation of %s", e)
				}
			}
			if err := events[0].Validate(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestEmittedIDsDifferWhereverAnArgumentDoes(t *testing.T) {
	t.Parallel()
	word := rapid.StringMatching(`[a-z0-9:/]{0,6}`)
	rapid.Check(t, func(t *rapid.T) {
		type args struct {
			function, source, id string
			index                int
		}
		draw := func(name string) args {
			return args{word.Draw(t, name+"f"), word.Draw(t, name+"s"), word.Draw(t, name+"i"), rapid.IntRange(0, 12).Draw(t, name+"n")}
		}
		a, b := draw("a"), draw("b")
		same := function.EmittedID(a.function, a.source, a.id, a.index) == function.EmittedID(b.function, b.source, b.id, b.index)
		if same != (a == b) {
			t.Fatalf("ids of %+v and %+v: equal %t", a, b, same)
		}
	})
}

// The ids are part of the contract with consumers: another formula would make every redelivery a new event.
func TestEmittedIDIsStableAcrossReleases(t *testing.T) {
	t.Parallel()
	const want = "c4e8cf5c-4144-564d-b4fd-fd519f5ecad3"
	if got := function.EmittedID("order-created", "/order-service", "550e8400-e29b-41d4-a716-446655440000", 0); got != want {
		t.Errorf("EmittedID() = %s, want %s", got, want)
	}
}

func TestRouteLeadsByType(t *testing.T) {
	t.Parallel()
	var got []string
	note := func(name string) func(context.Context, event.Event) ([]event.Event, error) {
		return func(context.Context, event.Event) ([]event.Event, error) { got = append(got, name); return nil, nil }
	}
	r := function.Route(function.Raw(note("a"), "a.v1", "a.v2"), function.Raw(note("b"), "b.v1"))
	for _, eventType := range []string{"b.v1", "a.v2"} {
		e := event.New()
		e.SetType(eventType)
		if _, err := r.Handle(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if strings.Join(got, ",") != "b,a" || strings.Join(r.Types(), ",") != "a.v1,a.v2,b.v1" {
		t.Errorf("handled by %v, types %v", got, r.Types())
	}
	if _, err := r.Handle(t.Context(), event.New()); function.VerdictOf(err) != function.DeadLetter {
		t.Errorf("an unknown type: %v", err)
	}
	defer func() {
		if recover() == nil {
			t.Error("two handlers of one type were accepted")
		}
	}()
	function.Route(function.Raw(nil, "a.v1"), function.Raw(nil, "a.v1"))
}

func TestPassByFinishesWithoutAnEffect(t *testing.T) {
	t.Parallel()
	h := function.PassBy("a.v1", "a.v2")
	if strings.Join(h.Types(), ",") != "a.v1,a.v2" {
		t.Errorf("types %v", h.Types())
	}
	out, err := h.Handle(t.Context(), event.New())
	if out != nil || !errors.Is(err, function.ErrPassedBy) || function.VerdictOf(err) != function.Dropped {
		t.Errorf("got %v, %v", out, err)
	}
	if errors.Is(function.Drop("not the function's business"), function.ErrPassedBy) {
		t.Error("another drop counts as passed by")
	}
}

func TestOnDecodesStrictly(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, data, want string
		verdict          function.Verdict
	}{
		{name: "fits", data: `{"name":"ann"}`, want: "ann", verdict: function.Done},
		{name: "unknown member", data: `{"name":"ann","age":7}`, want: "ann", verdict: function.Done},
		{name: "not JSON", data: `{"name":`, verdict: function.DeadLetter},
		{name: "no data", verdict: function.DeadLetter},
		{name: "wrong kind", data: `{"name":7}`, verdict: function.DeadLetter},
		{name: "a name twice", data: `{"name":"ann","name":"bob"}`, verdict: function.DeadLetter},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got string
			h := function.On("test.greeted.v1", func(_ context.Context, _ event.Event, g greeted) ([]event.Event, error) {
				got = g.Name
				return nil, nil
			})
			e := event.New()
			e.DataEncoded = []byte(tc.data)
			_, err := h.Handle(t.Context(), e)
			if function.VerdictOf(err) != tc.verdict || got != tc.want {
				t.Errorf("handled %q: %v", got, err)
			}
			var permanent *function.PermanentError
			if errors.As(err, &permanent) && permanent.Class != function.ClassSchema {
				t.Errorf("class %s", permanent.Class)
			}
		})
	}
}

func TestCompleteNamesEveryProblem(t *testing.T) {
	t.Parallel()
	_, err := function.Spec{Name: "Not Good", Attempts: 1000, Timeout: -1, Order: 7}.Complete()
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"Name", "Topic", "New", "Attempts is 1000", "Timeout", "Order"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %q", want, err)
		}
	}
	newHandler := func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") }
	got, err := function.Spec{Name: "a-b2", Topic: "t", New: newHandler}.Complete()
	if err != nil || got.Group != "a-b2" || got.Source != "/a-b2" || got.Attempts != 5 || got.Timeout != 30*time.Second {
		t.Errorf("defaults %+v, %v", got, err)
	}
	if got.InGroup("g").Group != "g" || got.Group != "a-b2" {
		t.Error("InGroup changed the Spec it was called on")
	}
}

func ExampleOn() {
	handler := function.On("test.greeted.v1", func(_ context.Context, e event.Event, g greeted) ([]event.Event, error) {
		if g.Name == "" {
			return nil, function.Permanent(errors.New("nobody to greet"))
		}
		return function.Emit(e, keyedGreeting{g})
	})
	e := parent("e-1", "/meetings", "")
	e.DataEncoded = []byte(`{"name":"ann"}`)
	events, err := handler.Handle(context.Background(), e)
	fmt.Println(events[0].Subject(), err)
	// Output:
	// greeting-ann <nil>
}
