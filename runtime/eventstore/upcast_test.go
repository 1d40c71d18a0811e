package eventstore_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
)

func TestUpcastersMustEnd(t *testing.T) {
	t.Parallel()
	for want, upcasters := range map[string][]eventstore.Upcaster{
		"in a circle":          {{From: "a", To: "b"}, {From: "b", To: "c"}, {From: "c", To: "a"}},
		"two upcasters from a": {{From: "a", To: "b"}, {From: "a", To: "c"}},
		"must be named":        {{From: "a"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			kind := eventstoretest.SQLite()
			_, err := eventstore.New(t.Context(), kind.Database(t, kind.Place(t)), &eventstore.Options{Upcasters: upcasters})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("error %v, want one that says %q", err, want)
			}
		})
	}
}
