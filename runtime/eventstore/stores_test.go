package eventstore_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) { goleak.VerifyTestMain(server.Tests(m)) }

// kinds are all kinds of stores.
var kinds = []eventstoretest.Kind{eventstoretest.SQLite(), eventstoretest.Postgres(server.Database)}

// each runs a test for each kind.
func each(t *testing.T, test func(*testing.T, eventstoretest.Kind)) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.Name, func(t *testing.T) {
			t.Parallel()
			test(t, kind)
		})
	}
}

func TestConformance(t *testing.T) {
	t.Parallel()
	each(t, eventstoretest.Run)
}
