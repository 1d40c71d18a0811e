package infra_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/runtime/msktrigger"
)

// Each record of a function's msk.json is the event of its testdata, in one form or another.
func TestMSKEventsHoldTheSampleEvents(t *testing.T) {
	t.Parallel()
	for _, spec := range catalog.Functions() {
		t.Run(spec.Name, func(t *testing.T) {
			t.Parallel()
			want := facts(t, sampleEvent(t, spec.Name))
			batch, err := msktrigger.Decode(readFile(t, "../functions", spec.Name, "testdata/msk.json"))
			if err != nil {
				t.Fatal(err)
			}
			var records, beyondASCII int
			for _, partition := range batch.Partitions {
				for _, record := range partition.Records {
					if record.Err != nil || record.Topic != spec.Topic {
						t.Errorf("%s: %v", &record.Record, record.Err)
					}
					records++
					for _, h := range record.Headers {
						if string(h.Value) == "Mühle" {
							beyondASCII++
						}
					}
					if diff := cmp.Diff(want, facts(t, decode(t, record.Message))); diff != "" {
						t.Errorf("%s is another event than that in testdata (run make generate): %s", &record.Record, diff)
					}
				}
			}
			if records != 3 || len(batch.Partitions) != 2 || beyondASCII != 1 {
				t.Errorf("%d records of %d partitions, %d headers beyond ASCII; want 3, 2, 1", records, len(batch.Partitions), beyondASCII)
			}
		})
	}
}

func sampleEvent(t *testing.T, name string) event.Event {
	t.Helper()
	path := filepath.Join("../functions", name, "testdata/event.json")
	switch name {
	case "notification-requested":
		path = "../functions/order-created/testdata/requested.json"
	case "order-view":
		path = "../functions/order-created/testdata/event.json"
	}
	var e event.Event
	if err := e.UnmarshalJSON(readFile(t, path)); err != nil {
		t.Fatal(err)
	}
	return e
}

func readFile(t *testing.T, path ...string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func decode(t *testing.T, m kafkabinding.Message) event.Event {
	t.Helper()
	e, err := kafkabinding.Decode(m)
	if errors.Is(err, kafkabinding.ErrNotCloudEvent) {
		e, err = envelope.Decode(m.Value)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// facts are what every form of an event says.
func facts(t *testing.T, e event.Event) map[string]string {
	t.Helper()
	data := jsontext.Value(e.Data())
	if err := data.Compact(); err != nil {
		t.Fatal(err)
	}
	return map[string]string{
		"id": e.ID(), "type": e.Type(), "source": e.Source(), "subject": e.Subject(), "time": e.Time().UTC().String(), "data": string(data),
	}
}
