package boot

import (
	"time"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/telemetry"
)

// settings is everything that the runtime reads from the environment. Functions read their own.
type settings struct {
	Kafka     kafkaclient.Config
	Group     consumergroup.Config
	Telemetry telemetry.Config
	Publish   publishing
	Retry     retrying
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

func (s *settings) sinkOptions() *kafkasink.Options {
	return &kafkasink.Options{Format: kafkasink.Format(s.Publish.Format), Compression: s.Publish.Compression}
}

// load reads the settings, or reports every problem of the environment at once.
func load(lookup function.Lookup) (*settings, error) {
	s := &settings{}
	if err := config.Load(lookup, s); err != nil {
		return nil, err
	}
	return s, nil
}
