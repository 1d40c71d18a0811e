package orderprocess_test

import (
	"context"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	fact "github.com/millrace/millrace/cloudevents/order"
	orderprocess "github.com/millrace/millrace/functions/order-process"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// outcomes counts what became of attempts.
type outcomes [function.Dropped + 1]atomic.Int64

func (o *outcomes) Observe(outcome *pipeline.Outcome) { o[outcome.Verdict].Add(1) }

// The whole function, from Kafka to Kafka: it publishes what the order API left in the outbox, leads an order on, ends one
// that nobody answers, and passes by one that it does not know.
func TestOnKafka(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		broker := runtimetest.Kafka(t, nil)
		broker.Embedded(t) // where order-events is nobody else's
		for _, topic := range []string{fact.Topic, "dead-letter-queue"} {
			broker.CreateTopic(t, topic, 3, nil)
		}
		served, silent, foreign := s.next(), s.next(), s.next()
		for _, id := range []string{served, silent} {
			s.do(t, "create", id)
		}
		for _, told := range []struct{ step, id string }{{"charged", served}, {"reserved", served}, {"charged", foreign}} {
			s.do(t, told.step, told.id)
			topic := s.topics[told.id]
			produce(t, broker, topic[len(topic)-1])
		}
		maps.Copy(s.environment, map[string]string{
			"KAFKA_BROKERS": strings.Join(broker.Addrs, ","), "HTTP_ADDR": "127.0.0.1:0", "ORDER_PAYMENT_TIMEOUT": "1s",
		})
		var seen outcomes
		s.run(t, &seen)

		stories := map[string][]event.Event{}
		for _, r := range broker.Records(t, fact.Topic, 3+3+2) {
			e := decode(t, r)
			stories[string(r.Key)] = append(stories[string(r.Key)], e)
		}
		for id, want := range map[string]string{
			served:  "payment.processed inventory.reserved created paid processing-started",
			silent:  "created cancelled",
			foreign: "payment.processed",
		} {
			if got := words(stories[id]); got != want {
				t.Errorf("%s: %s, want %s", id, got, want)
			}
		}
		runtimetest.Eventually(t, "all events are handled", func() bool { return seen[function.Done].Load()+seen[function.Dropped].Load() == 8 })
		if seen[function.Dropped].Load() != 1 || seen[function.Retry].Load()+seen[function.DeadLetter].Load()+seen[function.Broken].Load() > 0 {
			t.Errorf("outcomes %v", &seen)
		}
		for _, id := range []string{served, silent} {
			if got := s.waits(t, id); got != "" {
				t.Errorf("%s waits for %s", id, got)
			}
		}
	})
}

// run runs the function's program until the test ends.
func (s *shop) run(t *testing.T, o pipeline.Observer) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, lookup(s.environment), []function.Spec{orderprocess.Spec}, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Observers: []pipeline.Observer{o}, Started: func() { close(started) },
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

func produce(t *testing.T, broker *runtimetest.Broker, e event.Event) {
	t.Helper()
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		t.Fatal(err)
	}
	key, _ := kafkabinding.PartitionKey(e)
	r := &kgo.Record{Key: key, Value: m.Value}
	for _, h := range m.Headers {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	broker.Produce(t, fact.Topic, r)
}

func decode(t *testing.T, r *kgo.Record) event.Event {
	t.Helper()
	m := kafkabinding.Message{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(h.Key), Value: h.Value})
	}
	e, err := kafkabinding.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
