package consumergroup

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Stage is where a pipeline publishes to when a record's events, or its dead letter, are committed in one transaction with
// its offset. It keeps what it is given until the member that handles the record commits it. It is a [pipeline.Sink] and a
// deadletter.Producer, for one member, in whose workers alone it may be called.
type Stage struct{ transactor *kafkasink.Transactor }

// NewStage returns a Stage whose member commits with t. The caller closes t when the member has ended.
func NewStage(t *kafkasink.Transactor) *Stage { return &Stage{transactor: t} }

// staging is the key of the context's *delivery.
type staging struct{}

var errNotStaged = errors.New("consumergroup.Stage: used outside of a member's workers")

// Send implements [pipeline.Sink]. An event that cannot be encoded, or is too large, is a permanent error.
func (s *Stage) Send(ctx context.Context, outputs ...pipeline.Output) error {
	d, ok := ctx.Value(staging{}).(*delivery)
	if !ok {
		return errNotStaged
	}
	staged := make([]kafkasink.Prepared, len(outputs))
	for i := range outputs {
		var err error
		if staged[i], err = s.transactor.Prepare(outputs[i]); err != nil {
			return err
		}
	}
	d.opened.staged = staged
	return nil
}

// Produce implements deadletter.Producer.
func (s *Stage) Produce(ctx context.Context, topic string, m kafkabinding.Message, timestamp time.Time) error {
	d, ok := ctx.Value(staging{}).(*delivery)
	if !ok {
		return errNotStaged
	}
	p, err := s.transactor.PrepareRecord(topic, m, timestamp)
	if err != nil {
		return err
	}
	d.opened.staged = []kafkasink.Prepared{p}
	return nil
}
