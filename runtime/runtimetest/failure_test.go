package runtimetest_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestHelpersFailTheTest(t *testing.T) {
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 1)
	tests := map[string]struct {
		use  func(t testing.TB)
		says string
	}{
		"topic that exists": {
			func(t testing.TB) { broker.CreateTopic(t, topic, 1, nil) },
			"create topic " + topic + " at [127.0.0.1:",
		},
		"cluster that is not there": {
			func(t testing.TB) { runtimetest.Kafka(t, nil) },
			"no Kafka answers at [127.0.0.1:1]",
		},
	}
	t.Setenv(runtimetest.AddressVariable, "127.0.0.1:1")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if said := failure(t, test.use); !strings.Contains(said, test.says) {
				t.Errorf("failed with %q, want %q in it", said, test.says)
			}
		})
	}
}

// failure returns how a test of its own fails that calls use.
func failure(t *testing.T, use func(testing.TB)) string {
	f := &failing{TB: t}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		use(f)
	}()
	<-ended
	return f.said
}

// failing is a test whose failure is looked at.
type failing struct {
	testing.TB

	said string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.said = fmt.Sprintf(format, args...)
	runtime.Goexit()
}
