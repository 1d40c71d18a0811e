package cloudeventstest

import (
	"net/url"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// Diff returns how two events differ, empty when they are equal. Times are equal when they are the same instant, URIs
// when they are written the same. No data (nil) and empty data differ. DataBase64 does not count: it says how JSON wrote
// the data.
func Diff(want, got event.Event) string {
	return cmp.Diff(want, got,
		cmpopts.IgnoreFields(event.Event{}, "DataBase64", "FieldErrors"),
		cmp.Comparer(func(a, b url.URL) bool { return a.String() == b.String() }),
		cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) }),
		cmp.FilterValues(func(a, b map[string]any) bool { return len(a) == 0 && len(b) == 0 }, cmp.Ignore()),
		cmp.Transformer("text", func(data []byte) any {
			if data == nil {
				return nil
			}
			return string(data)
		}),
	)
}

// Equal fails the test when want and got differ as [Diff] says.
func Equal(tb testing.TB, want, got event.Event) {
	tb.Helper()
	if diff := Diff(want, got); diff != "" {
		tb.Errorf("events differ (-want +got):\n%s", diff)
	}
}
