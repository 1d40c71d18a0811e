package boot

import (
	"context"
	"fmt"

	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
)

// letters writes dead letters, and reports whether that works.
type letters struct {
	writer  *deadletter.Writer
	service deadletter.Service
	options deadletter.Options
	report  func(error)
}

// newLetters returns letters that p writes. report is told the outcome of each.
func newLetters(s *settings, p deadletter.Producer, report func(error)) *letters {
	service := deadletter.Service{Name: s.Telemetry.ServiceName, Version: s.Telemetry.ServiceVersion}
	l := &letters{service: service, options: deadletter.Options{Topic: s.Publish.DeadLetters}, report: report}
	return l.through(p)
}

// requireLetters returns nil when the cluster has the topic of dead letters.
func requireLetters(s *settings, sink *kafkasink.Sink) error {
	if err := sink.RequireTopics(s.Publish.DeadLetters); err != nil {
		return fmt.Errorf("DEAD_LETTER_TOPIC: %w", err)
	}
	return nil
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
		l.report(err)
	}
	return err
}
