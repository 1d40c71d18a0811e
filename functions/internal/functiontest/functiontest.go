// Package functiontest holds functions against the events in their testdata. It never ships.
package functiontest

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/runtime/function"
)

// now is when the events of the tests are emitted.
var now = time.Date(2023, 12, 1, 10, 0, 1, 0, time.UTC)

// Golden hands testdata/event.json, a CloudEvent, and testdata/envelope.json, the same fact in the JSON envelope, to the
// function, each twice as after a crash. Each time the answer has to be testdata/requested.json.
func Golden(t *testing.T, spec function.Spec) {
	t.Helper()
	handler := Handler(t, spec)
	want := View(t, Event(t, "requested.json"))
	for name, in := range map[string]event.Event{
		"event":    Event(t, "event.json"),
		"envelope": Event(t, "envelope.json"),
	} {
		for delivery := range 2 {
			out, err := handler.Handle(t.Context(), in)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			function.Stamp(&spec, in, out, now)
			if len(out) != 1 {
				t.Fatalf("%s: %d events, want 1", name, len(out))
			}
			if diff := cmp.Diff(want, View(t, out[0])); diff != "" {
				t.Errorf("%s, delivery %d: %s", name, delivery+1, diff)
			}
			publishable(t, spec, out[0])
		}
	}
}

// Handler completes spec and makes its handler, in an empty environment.
func Handler(t *testing.T, spec function.Spec) function.Handler {
	t.Helper()
	if _, err := spec.Complete(); err != nil {
		t.Fatal(err)
	}
	handler, err := spec.New(func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// publishable checks what the runtime checks before it publishes.
func publishable(t *testing.T, spec function.Spec, e event.Event) {
	t.Helper()
	if !slices.Contains(spec.Emits, e.Type()) {
		t.Errorf("%s is not among the types that the function emits", e.Type())
	}
	if err := e.Validate(); err != nil {
		t.Error(err)
	}
	if err := schemas.Validate(e.Type(), e.Data()); err != nil {
		t.Error(err)
	}
}

// Event reads an event of testdata: a CloudEvent, or where the file is envelope.json a fact in the JSON envelope.
func Event(t *testing.T, name string) event.Event {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	var e event.Event
	if name == "envelope.json" {
		e, err = envelope.Decode(data)
	} else {
		err = e.UnmarshalJSON(data)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

// View is an event as text, to be compared: its data without white space and digit for digit.
func View(t *testing.T, e event.Event) map[string]string {
	t.Helper()
	data := jsontext.Value(slices.Clone(e.Data()))
	if err := data.Compact(); err != nil {
		t.Fatal(err)
	}
	all := map[string]string{
		"id": e.ID(), "source": e.Source(), "type": e.Type(), "subject": e.Subject(), "time": e.Time().Format(time.RFC3339Nano),
		"datacontenttype": e.DataContentType(), "data": string(data),
	}
	for name, value := range e.Extensions() {
		all[name] = fmt.Sprint(value)
	}
	return all
}
