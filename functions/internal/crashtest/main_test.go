package crashtest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/localdev/runner"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

// child has a process of this program be a shop: its value says where that keeps its data.
const child = "MILLRACE_TEST_CRASH_CHILD"

var server postgres.Shared

func TestMain(m *testing.M) {
	if setting := os.Getenv(child); setting != "" {
		runChild(setting)
		os.Exit(1)
	}
	code := m.Run()
	server.Stop()
	if code == 0 {
		// sarama's metrics keep one goroutine for the life of the process.
		if err := goleak.Find(goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// place is where a shop is to be found and where it keeps its data.
type place struct {
	// Kafka is the address of a cluster. Empty: an embedded one, on KafkaPort.
	Kafka     string
	KafkaPort int
	// Data is a folder.
	Data string
	// API is the address of order-api.
	API string
}

// runChild is the whole shop in a process of its own, until somebody kills it.
func runChild(setting string) {
	var p place
	if err := json.Unmarshal([]byte(setting), &p); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return
	}
	err := runner.Run(context.Background(), &runner.Options{
		Kafka: p.Kafka, KafkaPort: p.KafkaPort, Data: p.Data, APIAddr: p.API,
		SMTPAddr: "127.0.0.1:0", WebhookAddr: "127.0.0.1:0", HTTPAddr: "off",
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	fmt.Fprintln(os.Stderr, "the shop ended by itself:", err)
}
