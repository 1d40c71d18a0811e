package kafkaclient_test

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestRequireTopics(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	cluster := broker.Embedded(t)
	there, forbidden, broken := broker.NewTopic(t, 1), broker.NewTopic(t, 1), broker.NewTopic(t, 1)
	missing := runtimetest.UniqueName(t)
	for topic, answer := range map[string]*kerr.Error{forbidden: kerr.TopicAuthorizationFailed, broken: kerr.UnknownServerError} {
		cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Metadata}, Topic: topic, Err: answer, Count: -1})
	}
	c := kafkaclient.Config{Brokers: broker.Addrs}
	conf, err := c.Sarama("test")
	if err != nil {
		t.Fatal(err)
	}
	client, err := c.Connect(conf)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Close(); err != nil {
			t.Error(err)
		}
	})

	if err := kafkaclient.RequireTopics(client, c.Brokers, there); err != nil {
		t.Error(err)
	}
	err = kafkaclient.RequireTopics(client, c.Brokers, there, missing, forbidden, broken)
	if err == nil {
		t.Fatal("no error")
	}
	problems := strings.Split(err.Error(), "\n")
	if len(problems) != 3 {
		t.Fatalf("problems are %q", problems)
	}
	for i, words := range [][]string{{missing, "does not exist", broker.Addrs[0]}, {forbidden, "DESCRIBE"}, {broken, broker.Addrs[0]}} {
		for _, word := range words {
			if !strings.Contains(problems[i], word) {
				t.Errorf("%q does not hold %q", problems[i], word)
			}
		}
	}
}
