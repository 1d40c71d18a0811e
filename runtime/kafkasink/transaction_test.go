package kafkasink_test

import (
	"strconv"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// openTransactor returns a transactor that is closed when the test ends.
func openTransactor(t testing.TB, broker *runtimetest.Broker, id string, o *kafkasink.Options) *kafkasink.Transactor {
	t.Helper()
	tr, err := kafkasink.OpenTransactor(kafkaclient.Config{Brokers: broker.Addrs}, "test", id, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return tr
}

// prepare returns the records of n events, numbered from first, with their number as key.
func prepare(t testing.TB, tr *kafkasink.Transactor, topic string, first, n int) []kafkasink.Prepared {
	t.Helper()
	records := make([]kafkasink.Prepared, n)
	for i := range n {
		id := strconv.Itoa(first + i)
		p, err := tr.Prepare(output(topic, newEvent(id, id)))
		if err != nil {
			t.Fatal(err)
		}
		records[i] = p
	}
	return records
}

func TestCommit(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic, input, group := broker.NewTopic(t, 3), broker.NewTopic(t, 1), runtimetest.UniqueName(t)
	tr := openTransactor(t, broker, runtimetest.UniqueName(t), nil)
	for i := range 5 {
		offsets := []kafkasink.Offset{{Topic: input, Next: int64(i + 1), Metadata: "m" + strconv.Itoa(i)}}
		if err := tr.Commit(t.Context(), prepare(t, tr, topic, 10*i, 10), offsets, sarama.NewConsumerGroupMetadata(group)); err != nil {
			t.Fatal(err)
		}
	}
	if got := len(broker.Records(t, topic, 50)); got != 50 {
		t.Errorf("%d records", got)
	}
}
