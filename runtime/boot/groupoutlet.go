//go:build !lambda.norpc

package boot

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/kafkasink"
)

// outlet returns the sink that all groups share, or transactions of the group's own.
func (d *groupDoor) outlet(group string) (*outlet, error) {
	if !d.settings.Group.ExactlyOnce {
		return &outlet{sink: d.sink, letters: d.letters, close: func() {}}, nil
	}
	options := d.settings.sinkOptions()
	options.TransactionTimeout = d.settings.Group.TransactionTimeout
	transactor, err := kafkasink.OpenTransactor(d.settings.Kafka, d.settings.Telemetry.ServiceName, d.settings.transactionalID(group), options)
	if err != nil {
		return nil, err
	}
	stage := consumergroup.NewStage(transactor)
	letters := d.letters.through(stage)
	return &outlet{sink: stage, letters: letters, stage: stage, close: func() { d.end(group, transactor) }}, nil
}

// end closes a transactor. Where the cluster cannot be reached nothing is lost by that: the records of a transaction that
// is left open are handled again.
func (d *groupDoor) end(group string, t *kafkasink.Transactor) {
	if err := t.Close(); err != nil {
		d.log.Warn("a transaction may be left open: readers with read_committed wait until TRANSACTION_TIMEOUT has passed",
			"consumer_group", group, "timeout", d.settings.Group.TransactionTimeout, "error", err)
	}
}

// transactionalID names the producer of a group. Ids begin with the group, so that a permission can be given for a prefix.
func (s *settings) transactionalID(group string) string {
	return group + "-" + cmp.Or(s.Group.TransactionID, s.Group.InstanceID, uuid.NewString())
}
