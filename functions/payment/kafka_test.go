package payment

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// watch notes what became of attempts.
type watch struct{ waited, failed atomic.Int64 }

func (w *watch) Observe(o *pipeline.Outcome) {
	switch o.Verdict {
	case function.Broken:
		w.waited.Add(1)
	case function.Retry, function.DeadLetter:
		w.failed.Add(1)
	case function.Done, function.Dropped:
	}
}

// The whole function, from Kafka to Kafka: the provider is down for longer than all attempts would last, and no order is lost,
// dead-lettered or charged twice.
func TestAnOutageOnKafka(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		const orders = 12
		broker := runtimetest.Kafka(t, nil)
		broker.Embedded(t) // where order-events is nobody else's
		for _, topic := range []string{order.Topic, "dead-letter-queue"} {
			broker.CreateTopic(t, topic, 3, nil)
		}
		maps.Copy(s.environment, map[string]string{
			"KAFKA_BROKERS": strings.Join(broker.Addrs, ","), "HTTP_ADDR": "127.0.0.1:0", "BREAKER_RECOVERY_TIMEOUT": "50ms",
			"RETRY_FIRST_DELAY": "1ms", "COMMIT_INTERVAL": "20ms",
		})
		if err := s.provider.SetMode(paymentprovider.Mode{State: paymentprovider.Down}); err != nil {
			t.Fatal(err)
		}
		for n := range orders {
			s.produce(broker, created(fmt.Sprintf("order-%d", n), "99.90"), cancelledOrder(fmt.Sprintf("order-%d", n)))
		}
		var seen watch
		s.start(&seen)
		runtimetest.Eventually(t, "an outage of many attempts", func() bool { return seen.waited.Load() > 20 })
		if err := s.provider.SetMode(paymentprovider.Mode{}); err != nil {
			t.Fatal(err)
		}
		// Each order is told of by its two events and by the two of the payment function.
		if all := broker.Records(t, order.Topic, 4*orders); len(all) != 4*orders {
			t.Errorf("%d records, want %d", len(all), 4*orders)
		}
		for _, a := range s.provider.Accounts() {
			if a.Charges != 1 || a.Refunds != 1 {
				t.Errorf("%+v", a)
			}
		}
		if n := seen.failed.Load(); n > 0 || len(s.provider.Accounts()) != orders {
			t.Errorf("%d attempts were spent, %d orders charged", n, len(s.provider.Accounts()))
		}
	})
}

// produce puts facts on Kafka.
func (s *shop) produce(broker *runtimetest.Broker, facts ...function.Payload) {
	s.Helper()
	for _, p := range facts {
		e := s.event(p)
		m, err := kafkabinding.Encode(e, kafkabinding.Binary)
		if err != nil {
			s.Fatal(err)
		}
		r := &kgo.Record{Key: []byte(p.AggregateID()), Value: m.Value}
		for _, h := range m.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		broker.Produce(s, order.Topic, r)
	}
}

// start runs the function's program until the test ends.
func (s *shop) start(o pipeline.Observer) {
	s.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, s.lookup, []function.Spec{Spec}, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Observers: []pipeline.Observer{o}, Started: func() { close(started) },
		})
	}()
	s.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			s.Errorf("Run() = %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		s.Fatalf("Run() = %v", err)
	}
}
