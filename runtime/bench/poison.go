package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// poisonRecords is how many events there are, one of which always fails.
	poisonRecords = 1000
	// poisoned is the one that fails: in the middle of a burst, so that others of its key come after it.
	poisoned = 502
	// poisonWait is how long the peers are watched. millrace's five attempts take about four seconds.
	poisonWait = 8 * time.Second
)

// The columns of poison.
const (
	poisonHandled = iota
	poisonAttempts
	poisonLetters
	poisonPassed
)

// poisoning shows what becomes of an event that always fails, and of those beside it.
func (b *bench) poisoning(ctx context.Context) (*figure, error) {
	topic, err := b.cluster.newTopic("poison")
	if err != nil {
		return nil, err
	}
	if err := fill(ctx, b.cluster.brokers, topic, poisonRecords); err != nil {
		return nil, err
	}
	at, err := find(ctx, b.cluster.brokers, topic, newEvent(poisoned).ID())
	if err != nil {
		return nil, err
	}
	f := &figure{
		name: "poison",
		title: fmt.Sprintf("%d events, one of which always fails; after %s. Passed says that the group's offset went past it without a dead letter: it is lost",
			poisonRecords, poisonWait),
		columns:  []column{{name: "others handled"}, {name: "attempts"}, {name: "dead letters"}, {name: "passed"}},
		goals:    []goal{{column: poisonHandled, limit: poisonRecords - 1}, {column: poisonAttempts, bound: atMost, limit: 5}, {column: poisonLetters, limit: 1}},
		atOnce:   true,
		unranked: true,
	}
	for i := range contenders[f.name] {
		c := &contenders[f.name][i]
		f.peers = append(f.peers, peer{c.name, func(ctx context.Context) ([]float64, error) {
			return b.poison(ctx, &job{
				Figure: f.name, Peer: c.name, Brokers: b.cluster.brokers, Topic: topic, Group: "bench-" + uuid.NewString(),
				Failing: newEvent(poisoned).ID(), Profile: b.profileName(f.name, i),
			}, at)
		}})
	}
	return f, nil
}

// poison watches a peer for a while. The event that fails is at.
func (b *bench) poison(ctx context.Context, j *job, at *kgo.Record) ([]float64, error) {
	var err error
	if j.DeadLetters, err = b.cluster.newTopic("dead-letters"); err != nil {
		return nil, err
	}
	a, err := perform(ctx, j, func(ctx context.Context) error {
		select {
		case <-time.After(poisonWait):
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		return nil, err
	}
	letters, err := b.cluster.length(j.DeadLetters)
	if err != nil {
		return nil, err
	}
	committed, err := b.cluster.committed(j.Group, j.Topic, at.Partition)
	if err != nil {
		return nil, err
	}
	passed := 0.0
	if committed > at.Offset && letters == 0 {
		passed = 1
	}
	return []float64{float64(a.Handled), float64(a.Attempts), float64(letters), passed},
		errors.Join(b.cluster.dropGroup(j.Group), b.cluster.dropTopic(j.DeadLetters))
}
