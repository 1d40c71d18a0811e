package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/infra"
)

// Ensured is what [Client.EnsureTopics] found and did.
type Ensured struct {
	// Created are the topics that were missing.
	Created []string
	// Differing are the topics that exist with another number of partitions. They were left as they are.
	Differing []Difference
}

// Difference is a topic whose number of partitions is not the wanted one.
type Difference struct {
	Topic     string
	Want, Got int
}

func (d Difference) String() string {
	return fmt.Sprintf("topic %s has %d partitions, infra/topics.yaml says %d", d.Topic, d.Got, d.Want)
}

// EnsureTopics creates the topics that are missing, with the broker's default number of replicas. A topic that exists is
// never altered. Another process that creates the same topic at the same time does no harm.
func (c *Client) EnsureTopics(ctx context.Context, topics []infra.Topic) (Ensured, error) {
	existing, err := c.partitions(ctx)
	if err != nil {
		return Ensured{}, err
	}
	var done Ensured
	for _, t := range topics {
		if got, ok := existing[t.Name]; ok {
			if want := int(t.Partitions); got != want {
				done.Differing = append(done.Differing, Difference{Topic: t.Name, Want: want, Got: got})
			}
			continue
		}
		created, err := c.create(ctx, t)
		if err != nil {
			return done, err
		}
		if created {
			done.Created = append(done.Created, t.Name)
		}
	}
	return done, nil
}

func (c *Client) create(ctx context.Context, t infra.Topic) (created bool, err error) {
	configs := map[string]*string{}
	for name, value := range t.Configs() {
		configs[name] = &value
	}
	_, err = c.Admin.CreateTopic(ctx, t.Partitions, -1, configs, t.Name)
	if errors.Is(err, kerr.TopicAlreadyExists) {
		return false, nil
	}
	if err != nil {
		return false, c.failed("create topic "+t.Name, err)
	}
	return true, nil
}

// TopicInfo is one topic of a cluster.
type TopicInfo struct {
	Name       string
	Partitions int
	// Records counts offsets from the first to the last: on a compacted topic, or one written by transactions, fewer
	// records are there.
	Records int64
	// Cleanup is the topic's cleanup.policy, empty where the cluster does not tell it.
	Cleanup string
	// Retention is how long records stay; 0 means for ever, or that the cluster does not tell it.
	Retention time.Duration
}

// Topics lists the topics of the cluster by name, without Kafka's internal ones.
func (c *Client) Topics(ctx context.Context) ([]TopicInfo, error) {
	partitions, err := c.partitions(ctx)
	if err != nil || len(partitions) == 0 {
		return nil, err
	}
	names := slices.Sorted(maps.Keys(partitions))
	records, err := c.records(ctx, names)
	if err != nil {
		return nil, err
	}
	configs, err := c.Admin.DescribeTopicConfigs(ctx, names...)
	if err != nil && !errors.Is(err, kerr.TopicAuthorizationFailed) {
		return nil, c.failed("read the settings of topics", err)
	}
	infos := make([]TopicInfo, 0, len(names))
	for _, name := range names {
		info := TopicInfo{Name: name, Partitions: partitions[name], Records: records[name]}
		if config, err := configs.On(name, nil); err == nil {
			info.Cleanup, info.Retention = cleanup(config)
		}
		infos = append(infos, info)
	}
	return infos, nil
}

func (c *Client) records(ctx context.Context, topics []string) (map[string]int64, error) {
	spans, err := c.Offsets(ctx, topics...)
	if err != nil {
		return nil, err
	}
	records := map[string]int64{}
	for topic, partitions := range spans {
		for _, span := range partitions {
			records[topic] += span.End - span.Start
		}
	}
	return records, nil
}

func cleanup(config kadm.ResourceConfig) (policy string, retention time.Duration) {
	for _, entry := range config.Configs {
		switch entry.Key {
		case "cleanup.policy":
			policy = entry.MaybeValue()
		case "retention.ms":
			if ms, err := strconv.ParseInt(entry.MaybeValue(), 10, 64); err == nil && ms > 0 {
				retention = time.Duration(min(ms, int64(1<<63-1)/int64(time.Millisecond))) * time.Millisecond
			}
		}
	}
	if policy == infra.CleanupCompact {
		retention = 0
	}
	return policy, retention
}

// Span is a partition's first offset and the one that its next record will get.
type Span struct{ Start, End int64 }

// Offsets returns the span of each partition of the topics.
func (c *Client) Offsets(ctx context.Context, topics ...string) (map[string]map[int32]Span, error) {
	starts, err := c.Admin.ListStartOffsets(ctx, topics...)
	if err == nil {
		err = starts.Error()
	}
	if err != nil {
		return nil, c.failed("read the first offsets", err)
	}
	ends, err := c.Admin.ListEndOffsets(ctx, topics...)
	if err == nil {
		err = ends.Error()
	}
	if err != nil {
		return nil, c.failed("read the last offsets", err)
	}
	spans := map[string]map[int32]Span{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(end.Topic, end.Partition)
		if spans[end.Topic] == nil {
			spans[end.Topic] = map[int32]Span{}
		}
		spans[end.Topic][end.Partition] = Span{Start: start.Offset, End: end.Offset}
	})
	return spans, nil
}

// UnknownTopicError says that the cluster has no such topic.
type UnknownTopicError struct {
	Topic string
	// Closest are the names of topics that are there, the most similar first.
	Closest []string
}

func (e *UnknownTopicError) Error() string {
	return fmt.Sprintf("the cluster has no topic %q", e.Topic)
}

// CheckTopic returns an [*UnknownTopicError] unless the cluster has the topic.
func (c *Client) CheckTopic(ctx context.Context, topic string) error {
	found, err := c.partitions(ctx)
	if err != nil {
		return err
	}
	if _, ok := found[topic]; ok {
		return nil
	}
	return &UnknownTopicError{Topic: topic, Closest: Closest(topic, slices.Collect(maps.Keys(found)), 3)}
}

// partitions returns the number of partitions of each topic, without Kafka's internal ones. It asks the cluster: the
// client's own knowledge may be some seconds old.
func (c *Client) partitions(ctx context.Context) (map[string]int, error) {
	request := kmsg.NewPtrMetadataRequest()
	answer, err := request.RequestWith(ctx, c)
	if err != nil {
		return nil, c.failed("list topics", err)
	}
	topics := map[string]int{}
	for _, t := range answer.Topics {
		if t.Topic != nil && !t.IsInternal && t.ErrorCode == 0 {
			topics[*t.Topic] = len(t.Partitions)
		}
	}
	return topics, nil
}

// failed names what could not be done, and the cluster where it stopped answering.
func (c *Client) failed(what string, err error) error {
	if connection, cause := plainCause(err); connection {
		return &UnreachableError{Brokers: c.brokers, Err: fmt.Errorf("%s: %w", what, cause)}
	}
	return fmt.Errorf("%s at %v: %w", what, c.brokers, err)
}
