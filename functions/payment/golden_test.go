package payment

import (
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/functions/internal/functiontest"
)

// The events in testdata, whole: an order as the shop tells it, or as the tutorial's envelope does, leads to processed.json, and
// its cancellation to refunded.json, to the letter.
func TestGolden(t *testing.T) {
	t.Parallel()
	cancelled := functiontest.Event(t, "cancelled.json")
	for name, placed := range map[string]event.Event{
		"event": functiontest.Event(t, "event.json"), "envelope": functiontest.Event(t, "envelope.json"),
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
				if diff := cmp.Diff(functiontest.View(t, functiontest.Event(t, file)), functiontest.View(t, got[i])); diff != "" {
					t.Errorf("%s: %s", file, diff)
				}
				if err := schemas.Validate(got[i].Type(), got[i].Data()); err != nil {
					t.Error(err)
				}
			}
		})
	}
}
