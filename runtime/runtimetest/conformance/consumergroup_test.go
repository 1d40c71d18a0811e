package conformance_test

import (
	"context"
	"flag"
	"io"
	"maps"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest/conformance"
	"github.com/millrace/millrace/runtime/telemetry"
)

// doors are the ways from Kafka to functions: members of consumer groups, and the trigger of AWS Lambda.
var doors = []conformance.Door{
	consumerGroup("cooperative", nil, conformance.Keeps),
	consumerGroup("eager", map[string]string{"KAFKA_REBALANCE": "eager"}),
	consumerGroup("exactly once", map[string]string{"EXACTLY_ONCE": "true"}, conformance.Keeps),
	lambda,
}

func TestMain(m *testing.M) {
	conformance.RunChild(doors...)
	// Cases mostly wait, for brokers and for each other.
	flag.Parse()
	if err := flag.Set("test.parallel", strconv.Itoa(4*runtime.GOMAXPROCS(0))); err != nil {
		panic(err)
	}
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

func TestDoors(t *testing.T) {
	t.Parallel()
	conformance.Run(t, doors...)
}

func consumerGroup(name string, settings map[string]string, more ...conformance.Capability) conformance.Door {
	return conformance.Door{
		Name: name,
		Capabilities: append(more,
			conformance.Members, conformance.Drain, conformance.Readiness, conformance.Ranges, conformance.Attempts,
			conformance.Transactions, conformance.Static,
			conformance.Circuits, conformance.Idempotency, conformance.Apart, conformance.Names,
			conformance.Stops, conformance.Owns, conformance.Waits,
		),
		Environment: func(p conformance.Program) map[string]string {
			variables := map[string]string{
				"KAFKA_BROKERS":     strings.Join(p.Brokers, ","),
				"DEAD_LETTER_TOPIC": p.DeadLetters,
			}
			if p.ExactlyOnce {
				variables["EXACTLY_ONCE"] = "true"
			}
			if p.Idempotent {
				variables["IDEMPOTENCY_STORE"] = "sqlite"
				variables["IDEMPOTENCY_URL"] = filepath.Join(p.Folder, "handled.db")
			}
			maps.Copy(variables, settings)
			maps.Copy(variables, p.Variables)
			return variables
		},
		Run: func(ctx context.Context, lookup function.Lookup, specs []function.Spec, log io.Writer, started func()) error {
			level, _ := lookup("LOG_LEVEL")
			logger := telemetry.NewLogger(log, telemetry.Config{LogLevel: level, LogFormat: "text"})
			return boot.Run(ctx, lookup, specs, &boot.Options{Log: logger, Started: started})
		},
	}
}
