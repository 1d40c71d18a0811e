package payment

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/schemas"
)

// The events in testdata, whole: an order as the shop tells it, or as the tutorial's envelope does, leads to processed.json, and
// its cancellation to refunded.json, to the letter.
func TestGolden(t *testing.T) {
	t.Parallel()
	cancelled := readEvent(t, "cancelled.json")
	for name, placed := range map[string]event.Event{
		"event": readEvent(t, "event.json"), "envelope": readEnvelope(t, "envelope.json"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t, kinds["sqlite"](t))
			for range 2 {
				for _, e := range []event.Event{placed, cancelled} {
					if err := s.insist(e); err != nil {
						t.Fatal(err)
					}
				}
			}
			got := s.told()["12345"]
			if len(got) != 2 {
				t.Fatalf("told %q", lines(got))
			}
			for i, file := range []string{"processed.json", "refunded.json"} {
				if diff := cmp.Diff(text(t, readEvent(t, file)), text(t, got[i])); diff != "" {
					t.Errorf("%s: %s", file, diff)
				}
				if err := schemas.Validate(got[i].Type(), got[i].Data()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func readEvent(t *testing.T, name string) event.Event {
	t.Helper()
	var e event.Event
	if err := e.UnmarshalJSON(read(t, name)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

func readEnvelope(t *testing.T, name string) event.Event {
	t.Helper()
	e, err := envelope.Decode(read(t, name))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return e
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// text is an event as JSON, digit for digit, with its members in one order.
func text(t *testing.T, e event.Event) string {
	t.Helper()
	encoded, err := e.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	value := jsontext.Value(encoded)
	if err := value.Indent(); err != nil {
		t.Fatal(err)
	}
	return string(value)
}
