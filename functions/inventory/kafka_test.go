package inventory

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// The whole function, from Kafka to Kafka: half of the orders get the pieces that there are, the others hear that there are
// none, and the shop's people that the product is gone.
func TestFromKafkaToKafka(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		const orders, pieces = 10, 5
		broker := runtimetest.Kafka(t, nil)
		broker.Embedded(t) // where the topics are nobody else's
		for _, topic := range []string{order.Topic, product.Topic, "dead-letter-queue"} {
			broker.CreateTopic(t, topic, 3, nil)
		}
		for n := range orders {
			id := fmt.Sprintf("order-%d", n)
			produce(t, broker, created(t, id, "1 prod-1"), paid(t, id))
		}
		start(t, map[string]string{
			"DATABASE": c.Kind, "DATABASE_URL": c.URL.Reveal(), "INVENTORY_INITIAL_STOCK": fmt.Sprint(pieces),
			"KAFKA_BROKERS": strings.Join(broker.Addrs, ","), "HTTP_ADDR": "127.0.0.1:0", "COMMIT_INTERVAL": "20ms",
		})
		told := map[string]int{}
		for _, p := range consumed(t, broker, order.Topic, 3*orders) {
			if p.event.Source() != source {
				continue
			}
			_, outcome, _ := strings.Cut(p.words(t), " ")
			told[outcome]++
		}
		if told["reserved 1 prod-1"] != pieces || told["rejected, missing 1 prod-1, too few of prod-1"] != orders-pieces {
			t.Errorf("told %v", told)
		}
		for _, p := range consumed(t, broker, product.Topic, 1) {
			if got := p.words(t); got != "prod-1 out of stock" {
				t.Errorf("told %s", got)
			}
		}
	})
}

// produce puts events about an order on Kafka.
func produce(t *testing.T, broker *runtimetest.Broker, events ...event.Event) {
	t.Helper()
	for _, e := range events {
		m, err := kafkabinding.Encode(e, kafkabinding.Binary)
		if err != nil {
			t.Fatal(err)
		}
		r := &kgo.Record{Key: []byte(e.Subject()), Value: m.Value}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		broker.Produce(t, order.Topic, r)
	}
}

// consumed waits until a topic has so many events, and returns them.
func consumed(t *testing.T, broker *runtimetest.Broker, topic string, n int) []publication {
	t.Helper()
	var all []publication
	for _, r := range broker.Records(t, topic, n) {
		m := kafkabinding.Message{Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(h.Key), Value: h.Value})
		}
		e, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, publication{topic, e})
	}
	return all
}

// start runs the function's program until the test ends.
func start(t *testing.T, environment map[string]string) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan error, 1)
	lookup := func(key string) (string, bool) { value, ok := environment[key]; return value, ok }
	go func() {
		ended <- boot.Run(ctx, lookup, []function.Spec{Spec}, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Started: func() { close(started) },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("Run() = %v", err)
	}
}
