package runtimetest

import (
	"cmp"
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// maxTestName leaves room in the 249 characters of a topic's name.
const maxTestName = 100

var notInTopicNames = regexp.MustCompile(`[^a-zA-Z0-9_-]+`)

// UniqueName returns a name for a topic, a group or a transactional id that no other test and no other run uses. It
// starts with the test's name.
func UniqueName(t testing.TB) string {
	name := strings.Trim(notInTopicNames.ReplaceAllString(t.Name(), "-"), "-")
	return name[:min(len(name), maxTestName)] + "-" + uuid.NewString()
}

// NewTopic creates a topic of the given number of partitions under a name of its own, and returns the name. The topic
// is deleted when the test ends.
func (b *Broker) NewTopic(t testing.TB, partitions int32) string {
	t.Helper()
	name := UniqueName(t)
	b.CreateTopic(t, name, partitions, nil)
	return name
}

// CreateTopic creates a topic under a given name and with topic settings (such as "cleanup.policy"; nil = the broker's
// defaults). The topic is deleted when the test ends. On a shared cluster use names of [UniqueName].
func (b *Broker) CreateTopic(t testing.TB, name string, partitions int32, settings map[string]string) {
	t.Helper()
	topic := kmsg.NewCreateTopicsRequestTopic()
	topic.Topic = name
	topic.NumPartitions = partitions
	topic.ReplicationFactor = -1
	for key, value := range settings {
		setting := kmsg.NewCreateTopicsRequestTopicConfig()
		setting.Name, setting.Value = key, &value
		topic.Configs = append(topic.Configs, setting)
	}
	request := kmsg.NewPtrCreateTopicsRequest()
	request.Topics = append(request.Topics, topic)

	ask(t, fmt.Sprintf("create topic %s at %v", name, b.Addrs), func(ctx context.Context) error {
		response, err := request.RequestWith(ctx, b.client)
		if err != nil {
			return err
		}
		return kerr.ErrorForCode(response.Topics[0].ErrorCode)
	})
	t.Cleanup(func() { b.deleteTopic(name) })
	b.topic(t, name)
}

// deleteTopic is housekeeping on a shared cluster: the test has its result, a failure here does not change it.
func (b *Broker) deleteTopic(name string) {
	if b.embedded != nil {
		return
	}
	topic := kmsg.NewDeleteTopicsRequestTopic()
	topic.Topic = &name
	request := kmsg.NewPtrDeleteTopicsRequest()
	request.Topics = append(request.Topics, topic)
	request.TopicNames = []string{name}
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	_, _ = request.RequestWith(ctx, b.client)
}

// topic is what the cluster's metadata says of a topic whose partitions all have a leader.
type topic struct {
	name       string
	id         [16]byte
	partitions []int32
}

func (b *Broker) topic(t testing.TB, name string) topic {
	t.Helper()
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = &name
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, wanted)

	found := topic{name: name}
	ask(t, fmt.Sprintf("metadata of topic %s at %v", name, b.Addrs), func(ctx context.Context) error {
		response, err := request.RequestWith(ctx, b.client)
		if err != nil {
			return err
		}
		described := response.Topics[0]
		found.id, found.partitions = described.TopicID, nil
		err = kerr.ErrorForCode(described.ErrorCode)
		for _, p := range described.Partitions {
			found.partitions = append(found.partitions, p.Partition)
			err = cmp.Or(err, kerr.ErrorForCode(p.ErrorCode))
		}
		return err
	})
	return found
}
