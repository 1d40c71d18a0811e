package boot

import (
	"log/slog"
	"time"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// settings is everything that the runtime reads from the environment. Functions read their own.
type settings struct {
	Kafka     kafkaclient.Config
	Group     consumergroup.Config
	Telemetry telemetry.Config
	Publish   publishing
	Retry     retrying
	Breaker   breaking
	// Idempotency is off unless IDEMPOTENCY_STORE is set.
	Idempotency remembering

	// serving is a target of its own, for programs with services.
	serving serving
}

type publishing struct {
	Format      string `env:"EVENT_FORMAT, default=binary" oneof:"binary|structured|envelope" doc:"How emitted events are written: CloudEvents in binary or structured mode, or the JSON envelope."`
	Compression string `env:"KAFKA_COMPRESSION, default=none" oneof:"none|gzip|snappy|lz4|zstd" doc:"Compression of what is published."`
	DeadLetters string `env:"DEAD_LETTER_TOPIC, default=dead-letter-queue" min:"1" max:"249" doc:"The topic of dead letters."`
}

type retrying struct {
	First time.Duration `env:"RETRY_FIRST_DELAY, default=200ms" min:"1ms" max:"1h" doc:"Pause before the second attempt; it doubles from attempt to attempt."`
	Max   time.Duration `env:"RETRY_MAX_DELAY, default=30s" min:"1ms" max:"24h" doc:"The longest pause between attempts."`
}

func (r *retrying) backoff() pipeline.Backoff { return pipeline.Backoff{First: r.First, Max: r.Max} }

// longest returns how long the waits between so many attempts may take together.
func (r *retrying) longest(attempts int) time.Duration {
	var sum time.Duration
	for wait := r.First; attempts > 1 && sum < maxRetryTime; attempts-- {
		sum += min(wait, r.Max)
		wait = min(2*wait, r.Max)
	}
	return sum
}

// maxRetryTime is where the sum of waits stops to matter, far from where it would overflow.
const maxRetryTime = 1000 * 24 * time.Hour

func (s *settings) sinkOptions() *kafkasink.Options {
	return &kafkasink.Options{Format: kafkasink.Format(s.Publish.Format), Compression: s.Publish.Compression}
}

type breaking struct {
	FailureThreshold int           `env:"BREAKER_FAILURE_THRESHOLD, default=5" min:"1" max:"1000" doc:"Failures of a dependency in a row that open its circuit: records that need it wait, no attempt is spent."`
	RecoveryTimeout  time.Duration `env:"BREAKER_RECOVERY_TIMEOUT, default=30s" min:"10ms" max:"1h" doc:"How long a circuit stays open before one record is tried."`
	MonitoringPeriod time.Duration `env:"BREAKER_MONITORING_PERIOD, default=10s" min:"10ms" max:"1h" doc:"The time within which those failures must come."`
	SuccessThreshold int           `env:"BREAKER_SUCCESS_THRESHOLD, default=3" min:"1" max:"1000" doc:"Records in a row that must succeed, one at a time, before a circuit closes."`
}

func (b *breaking) options(log *slog.Logger, changed func(breaker.Change)) *breaker.Options {
	return &breaker.Options{
		FailureThreshold: b.FailureThreshold,
		RecoveryTimeout:  b.RecoveryTimeout,
		MonitoringPeriod: b.MonitoringPeriod,
		SuccessThreshold: b.SuccessThreshold,
		Log:              log,
		OnChange:         changed,
	}
}

// load reads the settings, or reports every problem of the environment at once. Those of services are read where there are some.
func load(lookup function.Lookup, services int) (*settings, error) {
	s := &settings{}
	if err := config.Load(lookup, s.targets(services > 0)...); err != nil {
		return nil, err
	}
	return s, s.serving.requireAddrs(services)
}

// targets are the structs to fill.
func (s *settings) targets(withServices bool) []any {
	if withServices {
		return []any{s, &s.serving}
	}
	return []any{s}
}
