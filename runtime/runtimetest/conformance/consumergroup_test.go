package conformance_test

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest/conformance"
)

// doors are members of consumer groups.
var doors = []conformance.Door{
	consumerGroup("cooperative"),
}

func TestMain(m *testing.M) {
	conformance.RunChild(doors...)
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

func TestConsumerGroup(t *testing.T) {
	t.Parallel()
	conformance.Run(t, doors...)
}

func consumerGroup(rebalance string) conformance.Door {
	return conformance.Door{
		Name:         rebalance,
		Capabilities: []conformance.Capability{conformance.Members, conformance.Drain, conformance.Readiness},
		Environment: func(_ testing.TB, p conformance.Program) map[string]string {
			variables := map[string]string{
				"KAFKA_BROKERS":     strings.Join(p.Brokers, ","),
				"KAFKA_REBALANCE":   rebalance,
				"DEAD_LETTER_TOPIC": p.DeadLetters,
			}
			maps.Copy(variables, p.Variables)
			return variables
		},
		Run: func(ctx context.Context, lookup function.Lookup, specs []function.Spec, log io.Writer, started func()) error {
			return boot.Run(ctx, lookup, specs, &boot.Options{
				Log:     slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
				Started: started,
			})
		},
	}
}
