package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/IBM/sarama"
)

// resolveEarlier learns the outcome of the transaction before tx. It tells whether that was tx and is committed.
func (t *Transactor) resolveEarlier(ctx context.Context, tx *transaction) (committed bool, err error) {
	earlier := t.unresolved
	committed, err = t.resolve(ctx)
	if err != nil || !committed {
		return false, err
	}
	if !slices.Equal(earlier.offsets, tx.offsets) {
		return false, &EarlierCommittedError{Offsets: earlier.offsets}
	}
	return true, nil
}

// resolveUnclear learns whether tx was committed, whose request to commit had no clear answer. It returns err where tx was
// not.
func (t *Transactor) resolveUnclear(ctx context.Context, tx *transaction, err error) error {
	if len(tx.offsets) == 0 {
		// What is open is not left to the next attempt, for readers wait for it.
		return &UnknownOutcomeError{Err: errors.Join(fmt.Errorf("%w: %w", errNoTrace, err), t.begin(ctx))}
	}
	t.unresolved = tx
	committed, problem := t.resolve(ctx)
	if committed || problem != nil {
		return problem
	}
	return err
}

// resolve learns whether the unresolved transaction was committed. It asks until ctx ends.
func (t *Transactor) resolve(ctx context.Context) (committed bool, err error) {
	err = errNotAsked
	for retry := 1; ctx.Err() == nil; retry++ {
		committed, err = t.outcome(ctx, t.unresolved)
		if _, moved := errors.AsType[*GroupError](err); err == nil || moved {
			t.unresolved = nil
			return committed, err
		}
		_ = wait(ctx, retry) // ends with ctx, as the loop does
	}
	return false, &UnknownOutcomeError{Err: fmt.Errorf("%w: %w", context.Cause(ctx), t.advise(err))}
}

var (
	errNotAsked = errors.New("the connection was lost while the transaction was committed")
	// errNoTrace says that a transaction without offsets cannot be asked after.
	errNoTrace = errors.New("records without offsets leave nothing to ask after")
)

// outcome tells whether tx was committed. A new epoch first ends what is pending: after it, nothing changes any more.
func (t *Transactor) outcome(ctx context.Context, tx *transaction) (committed bool, err error) {
	if t.epoch == nil {
		if err := t.begin(ctx); err != nil {
			return false, err
		}
	}
	var blocks offsetBlocks
	err = repeat(ctx, func() error {
		var err error
		blocks, err = t.readOffsets(tx)
		return err
	})
	if err != nil {
		return false, err
	}
	return tx.compare(blocks)
}

// compare tells from the group's offsets whether tx was committed: all of it was, if any of it is there.
func (tx *transaction) compare(blocks offsetBlocks) (committed bool, err error) {
	for _, o := range tx.offsets {
		block := blocks[o.Topic][o.Partition]
		switch {
		case block == nil:
		case block.Offset == o.Next && block.Metadata == o.Metadata:
			return true, nil
		case block.Offset > o.Next:
			err = &GroupError{Group: tx.member.GroupID, Err: fmt.Errorf(
				"topic %s partition %d: somebody else committed offset %d, beyond %d", o.Topic, o.Partition, block.Offset, o.Next)}
		}
	}
	return false, err
}

// offsetBlocks are a group's offsets by topic and partition.
type offsetBlocks map[string]map[int32]*sarama.OffsetFetchResponseBlock

// readOffsets returns what the group has for the partitions of tx, once no transaction on them is pending.
func (t *Transactor) readOffsets(tx *transaction) (offsetBlocks, error) {
	partitions := map[string][]int32{}
	for _, o := range tx.offsets {
		partitions[o.Topic] = append(partitions[o.Topic], o.Partition)
	}
	request := sarama.NewOffsetFetchRequest(t.client.Config().Version, tx.member.GroupID, partitions)
	request.RequireStable = true
	var blocks offsetBlocks
	err := t.groupCoordinator(tx.member.GroupID).ask(func(b *sarama.Broker) (sarama.KError, error) {
		response, err := b.FetchOffset(request)
		if err != nil {
			return 0, err
		}
		var answer sarama.KError
		blocks, answer = offsetsOf(response)
		return answer, nil
	})
	return blocks, err
}

func offsetsOf(response *sarama.OffsetFetchResponse) (offsetBlocks, sarama.KError) {
	blocks, answer := offsetBlocks(response.Blocks), response.Err
	if len(response.Groups) > 0 {
		blocks, answer = response.Groups[0].Blocks, response.Groups[0].Err
	}
	if answer == sarama.ErrGroupIDNotFound {
		// It has committed nothing so far.
		return nil, sarama.ErrNoError
	}
	for _, partitions := range blocks {
		for _, block := range partitions {
			if block.Err != sarama.ErrNoError {
				return nil, block.Err
			}
		}
	}
	return blocks, answer
}
