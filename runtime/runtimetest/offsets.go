package runtimetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Commit is what a group has committed for one partition.
type Commit struct {
	// Offset is the next offset that the group will read.
	Offset   int64
	Metadata string
}

// Committed returns the offsets that group has committed for topic, by partition. A partition without a commit is
// missing.
func (b *Broker) Committed(t testing.TB, group, topic string) map[int32]int64 {
	t.Helper()
	offsets := map[int32]int64{}
	for partition, commit := range b.Commits(t, group, topic) {
		offsets[partition] = commit.Offset
	}
	return offsets
}

// AwaitCommitted waits until the offsets that group has committed for topic are exactly want.
func (b *Broker) AwaitCommitted(t testing.TB, group, topic string, want map[int32]int64) {
	t.Helper()
	for deadline := time.Now().Add(Patience); ; pause(t) {
		got := b.Committed(t, group, topic)
		if maps.Equal(got, want) {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("group %s has committed %v of %s, want %v", group, got, topic, want)
		}
	}
}

// Commits is [Broker.Committed] with the commits' metadata.
func (b *Broker) Commits(t testing.TB, group, topic string) map[int32]Commit {
	t.Helper()
	wanted := kmsg.NewOffsetFetchRequestTopic()
	wanted.Topic = topic
	wanted.Partitions = b.topic(t, topic).partitions
	request := kmsg.NewPtrOffsetFetchRequest()
	request.Group = group
	request.RequireStable = true
	request.Topics = append(request.Topics, wanted)

	var commits map[int32]Commit
	ask(t, fmt.Sprintf("commits of group %s for %s", group, topic), func(ctx context.Context) error {
		response, err := request.RequestWith(ctx, b.client)
		if err != nil {
			return err
		}
		commits, err = commitsIn(response)
		return err
	})
	return commits
}

func commitsIn(response *kmsg.OffsetFetchResponse) (map[int32]Commit, error) {
	err := kerr.ErrorForCode(response.ErrorCode)
	commits := map[int32]Commit{}
	if errors.Is(err, kerr.GroupIDNotFound) {
		return commits, nil
	}
	for _, topic := range response.Topics {
		for _, p := range topic.Partitions {
			err = cmp.Or(err, kerr.ErrorForCode(p.ErrorCode))
			if p.Offset < 0 {
				continue
			}
			commit := Commit{Offset: p.Offset}
			if p.Metadata != nil {
				commit.Metadata = *p.Metadata
			}
			commits[p.Partition] = commit
		}
	}
	return commits, err
}

// SetCommits commits for a group that has no members, as an operator does who moves it.
func (b *Broker) SetCommits(t testing.TB, group, topic string, commits map[int32]Commit) {
	t.Helper()
	moved := kmsg.NewOffsetCommitRequestTopic()
	moved.Topic, moved.TopicID = topic, b.topic(t, topic).id
	for partition, commit := range commits {
		p := kmsg.NewOffsetCommitRequestTopicPartition()
		p.Partition, p.Offset, p.Metadata = partition, commit.Offset, &commit.Metadata
		moved.Partitions = append(moved.Partitions, p)
	}
	request := kmsg.NewPtrOffsetCommitRequest()
	request.Group = group
	request.Generation = -1
	request.Topics = append(request.Topics, moved)

	ask(t, fmt.Sprintf("set commits of group %s for %s", group, topic), func(ctx context.Context) error {
		response, err := request.RequestWith(ctx, b.client)
		if err != nil {
			return err
		}
		for _, p := range response.Topics[0].Partitions {
			err = cmp.Or(err, kerr.ErrorForCode(p.ErrorCode))
		}
		return err
	})
}
