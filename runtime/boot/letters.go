package boot

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// letters writes dead letters, and turns readiness red while that fails.
type letters struct {
	writer *deadletter.Writer
	health *telemetry.Health
}

func newLetters(s *settings, sink *kafkasink.Sink, health *telemetry.Health) (*letters, error) {
	if err := sink.RequireTopics(s.Publish.DeadLetters); err != nil {
		return nil, fmt.Errorf("DEAD_LETTER_TOPIC: %w", err)
	}
	service := deadletter.Service{Name: s.Telemetry.ServiceName, Version: s.Telemetry.ServiceVersion}
	writer := deadletter.NewWriter(sink, service, &deadletter.Options{Topic: s.Publish.DeadLetters})
	return &letters{writer: writer, health: health}, nil
}

func (l *letters) Write(ctx context.Context, f pipeline.Failure) error {
	err := l.writer.Write(ctx, f)
	if ctx.Err() == nil {
		l.health.Set("dead letters", err)
	}
	return err
}
