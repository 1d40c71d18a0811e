package deadletter_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/deadletter"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memory is a producer that keeps the last record, or fails.
type memory struct {
	topic   string
	message kafkabinding.Message
	err     error
}

func (p *memory) Produce(_ context.Context, topic string, m kafkabinding.Message, _ time.Time) error {
	p.topic, p.message = topic, m
	return p.err
}

func TestWriter(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		producer := &memory{}
		w := deadletter.NewWriter(producer, service, nil)
		f := failure(message("k", "v"))
		if err := w.Write(t.Context(), f); err != nil || w.Err() != nil || w.Written() != 1 {
			t.Fatalf("%v, %v, %d letters", err, w.Err(), w.Written())
		}
		if diff := cmp.Diff(deadletter.Message(f, service), producer.message); producer.topic != "dead-letter-queue" || diff != "" {
			t.Errorf("to %s (-want +got):\n%s", producer.topic, diff)
		}

		producer.err = errors.New("no broker")
		err := w.Write(t.Context(), f)
		if !errors.Is(err, producer.err) || !strings.Contains(err.Error(), "order-events/2@1234, event event-1") {
			t.Errorf("got %v", err)
		}
		if !errors.Is(w.Err(), producer.err) || w.Written() != 1 {
			t.Errorf("%v, %d letters", w.Err(), w.Written())
		}
		time.Sleep(2 * time.Minute)
		if w.Err() != nil {
			t.Errorf("nobody waits any more: %v", w.Err())
		}

		f.EventID = ""
		if err := w.Write(t.Context(), f); err == nil || strings.Contains(err.Error(), "event-1") {
			t.Errorf("got %v", err)
		}
		producer.err = nil
		if err := w.Write(t.Context(), f); err != nil || w.Err() != nil || w.Written() != 2 {
			t.Errorf("%v, %v, %d letters", err, w.Err(), w.Written())
		}
	})
}

func TestWriterOptions(t *testing.T) {
	t.Parallel()
	producer := &memory{}
	w := deadletter.NewWriter(producer, service, &deadletter.Options{Topic: "letters", MaxBytes: 1000})
	if err := w.Write(t.Context(), failure(message("k", strings.Repeat("v", 600)))); err != nil {
		t.Fatal(err)
	}
	if l := parse(t, producer.message); producer.topic != "letters" || l.Stack != "" {
		t.Errorf("to %s, stack %q", producer.topic, l.Stack)
	}
}
