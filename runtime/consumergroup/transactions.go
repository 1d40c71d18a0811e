package consumergroup

import (
	"context"
	"errors"
	"log/slog"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
)

// transactions is the ledger of ExactlyOnce: the events of a batch and the offsets behind them are one Kafka transaction.
// One that fails is tried again from memory, without another call of a handler.
type transactions struct {
	transactor *kafkasink.Transactor
	pipeline   *pipeline.Pipeline
	instance   *string
	log        *slog.Logger
	// serial makes each commit different from all others, those of other owners included, by which its outcome is recognised
	// after a lost connection. It starts anywhere.
	serial uint64
}

// write implements ledger.
func (t *transactions) write(ctx context.Context, batch []handled, snapshots []snapshot) []error {
	err := t.commit(ctx, batch, snapshots)
	errs := make([]error, len(snapshots))
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func (t *transactions) commit(ctx context.Context, batch []handled, snapshots []snapshot) error {
	current := snapshots[0].claim.current
	member := sarama.NewConsumerGroupMetadataFromSession(current, t.pipeline.Group(), t.instance)
	offsets := t.offsets(snapshots)
	for {
		records, owners := staged(batch)
		err := t.transactor.Commit(ctx, records, offsets, member)
		var refused *kafkasink.RecordsError
		var unknown *kafkasink.UnknownOutcomeError
		switch {
		case errors.As(err, &refused):
			if err := t.bury(ctx, refused, owners); err != nil {
				return err
			}
		case errors.As(err, &unknown) && ctx.Err() == nil:
			t.log.Warn("asking again whether the transaction was committed", "error", err)
		default:
			return err
		}
	}
}

// offsets returns what the transaction commits for each claim.
func (t *transactions) offsets(snapshots []snapshot) []kafkasink.Offset {
	offsets := make([]kafkasink.Offset, len(snapshots))
	for i := range snapshots {
		s := &snapshots[i]
		t.serial++
		s.state.Serial = t.serial
		offsets[i] = kafkasink.Offset{Topic: s.topic, Partition: s.partition, Next: s.next, Metadata: s.state.String()}
	}
	return offsets
}

// staged returns the records of a batch, and for each the index of what it came of.
func staged(batch []handled) (records []kafkasink.Prepared, owners []*delivery) {
	for _, h := range batch {
		for _, r := range h.delivery.opened.staged {
			records = append(records, r)
			owners = append(owners, h.delivery)
		}
	}
	return records, owners
}

// bury replaces what led to events that cannot be published by its dead letter.
func (t *transactions) bury(ctx context.Context, refused *kafkasink.RecordsError, owners []*delivery) error {
	for i, failure := range refused.Failures {
		d := owners[failure.Index]
		if i > 0 && owners[refused.Failures[i-1].Index] == d {
			continue
		}
		if err := t.pipeline.Refuse(context.WithValue(ctx, staging{}, d), &d.opened.Delivery, failure.Err); err != nil {
			return err
		}
	}
	return nil
}
