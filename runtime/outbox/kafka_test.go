package outbox_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/outbox"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// sendEach publishes through a sink, as the runtime has chores do.
func sendEach(sink *kafkasink.Sink) func(context.Context, string, ...event.Event) []error {
	return func(ctx context.Context, topic string, events ...event.Event) []error {
		outs := make([]pipeline.Output, len(events))
		for i, e := range events {
			outs[i] = pipeline.Output{Topic: topic, Event: e}
		}
		return sink.SendEach(ctx, outs...)
	}
}

// Through a real sink: in the order of keys, the largest event included, and a missing topic stops nobody else.
func TestPublishesToKafka(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		kafka := runtimetest.Kafka(t, nil)
		name := kafka.NewTopic(t, 3)
		sink, err := kafkasink.Open(kafkaclient.Config{Brokers: kafka.Addrs}, "test", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer sink.Close()

		const keys, rounds = 50, 6
		for n := range rounds {
			err := s.db.Transact(t.Context(), func(tx *sql.Tx) error {
				var all []event.Event
				for k := range keys {
					all = append(all, happened(fmt.Sprintf("order-%d", k), fmt.Sprint(n)))
				}
				return s.box.Put(t.Context(), tx, name, all...)
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		largest := happened("large", "large")
		row := len(largest.String())
		largest.DataEncoded = bytes.Repeat([]byte{'x'}, outbox.MaxEvent-2*row)
		err = s.db.Transact(t.Context(), func(tx *sql.Tx) error {
			if err := s.box.Put(t.Context(), tx, "missing-topic", happened("order-1", "1")); err != nil {
				return err
			}
			return s.box.Put(t.Context(), tx, name, largest)
		})
		if err != nil {
			t.Fatal(err)
		}
		if published := s.relayTo(t, sendEach(sink)); published != keys*rounds+1 {
			t.Errorf("published %d", published)
		}
		if stuck := s.wantWaiting(t, 1, 1).Stuck; len(stuck) != 1 || !strings.Contains(stuck[0].Error, "missing-topic") {
			t.Errorf("stuck: %+v", stuck)
		}
		order := map[string]string{}
		for _, r := range kafka.Records(t, name, keys*rounds+1) {
			for _, h := range r.Headers {
				if h.Key == "ce_id" {
					order[string(r.Key)] += string(h.Value) + " "
				}
			}
		}
		for k := range keys {
			if key := fmt.Sprintf("order-%d", k); order[key] != "0 1 2 3 4 5 " {
				t.Errorf("%s: %s", key, order[key])
			}
		}
	})
}

// While no broker answers the relay fails, and no event is to blame.
func TestKafkaIsAway(t *testing.T) {
	t.Parallel()
	s := newStage(t, "sqlite", nil)
	kafka := runtimetest.Kafka(t, nil)
	name := kafka.NewTopic(t, 1)
	sink, err := kafkasink.Open(kafkaclient.Config{Brokers: kafka.Addrs}, "test", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	err = s.db.Transact(t.Context(), func(tx *sql.Tx) error { return s.box.Put(t.Context(), tx, name, happened("order-1", "1")) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.box.Relay(t.Context(), sendEach(sink)); err == nil || !strings.Contains(err.Error(), "unavailable") {
		t.Errorf("error %v", err)
	}
	s.wantWaiting(t, 1, 0)
}
