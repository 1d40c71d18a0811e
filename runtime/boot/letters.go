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
	writer  *deadletter.Writer
	service deadletter.Service
	options deadletter.Options
	health  *telemetry.Health
}

func newLetters(s *settings, sink *kafkasink.Sink, health *telemetry.Health) (*letters, error) {
	if err := sink.RequireTopics(s.Publish.DeadLetters); err != nil {
		return nil, fmt.Errorf("DEAD_LETTER_TOPIC: %w", err)
	}
	service := deadletter.Service{Name: s.Telemetry.ServiceName, Version: s.Telemetry.ServiceVersion}
	l := &letters{service: service, options: deadletter.Options{Topic: s.Publish.DeadLetters}, health: health}
	return l.through(sink), nil
}

// through returns letters that are written by another producer.
func (l *letters) through(p deadletter.Producer) *letters {
	other := *l
	other.writer = deadletter.NewWriter(p, l.service, &l.options)
	return &other
}

func (l *letters) Write(ctx context.Context, f pipeline.Failure) error {
	err := l.writer.Write(ctx, f)
	if ctx.Err() == nil {
		l.health.Set("dead letters", err)
	}
	return err
}
