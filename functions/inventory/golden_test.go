package inventory

import (
	"slices"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/functions/internal/functiontest"
	"github.com/millrace/millrace/runtime/database"
)

// What is told of the events in testdata is what is there, to the letter, each time: in a shop that has enough, and in one
// that does not.
func TestGolden(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		pieces int64
		steps  []string
		want   []string
	}{
		"enough":       {3, []string{"event.json", "processed.json", "cancelled.json"}, []string{"reserved.json", "released.json"}},
		"the envelope": {3, []string{"envelope.json", "processed.json", "cancelled.json"}, []string{"reserved.json", "released.json"}},
		"too little":   {1, []string{"event.json", "processed.json", "cancelled.json"}, []string{"rejected.json", "out-of-stock.json"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, c database.Config) {
				s := opened(t, c, test.pieces)
				var told []publication
				for _, step := range test.steps {
					for range 2 {
						s.deliver(t, functiontest.Event(t, step))
						told = append(told, s.published(t)...)
					}
				}
				if len(told) != len(test.want) {
					t.Fatalf("%d events, want %d", len(told), len(test.want))
				}
				for _, want := range test.want {
					requireTold(t, told, compact(t, functiontest.Event(t, want)))
				}
			})
		})
	}
}

// requireTold looks for an event among those that were told, by its id.
func requireTold(t *testing.T, told []publication, want event.Event) {
	t.Helper()
	i := slices.IndexFunc(told, func(p publication) bool { return p.event.ID() == want.ID() })
	if i < 0 {
		t.Fatalf("%s was not told with the id %s", want.Type(), want.ID())
	}
	_ = told[i].words(t)
	cloudeventstest.Equal(t, want, compact(t, told[i].event))
}

// compact returns e without white space in its data.
func compact(t *testing.T, e event.Event) event.Event {
	t.Helper()
	data := jsontext.Value(slices.Clone(e.Data()))
	if err := data.Compact(); err != nil {
		t.Fatal(err)
	}
	e.DataEncoded = data
	return e
}
