package kafkasink_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

var service = deadletter.Service{Name: "order-service", Version: "1.0.0"}

func TestPublish(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic, letters := broker.NewTopic(t, 1), broker.NewTopic(t, 1)
	sink := open(t, broker, nil)
	publisher := kafkasink.NewPublisher(sink, deadletter.NewWriter(sink, service, &deadletter.Options{Topic: letters}), "/order-service")

	bare := event.New()
	bare.SetType("dev.millrace.order.created.v1")
	full := newEvent("full", "order-1")
	full.SetSource("/elsewhere")
	if err := publisher.Publish(t.Context(), topic, bare, full); err != nil {
		t.Fatal(err)
	}
	if bare.ID() != "" || bare.Source() != "" || !bare.Time().IsZero() {
		t.Errorf("the caller's event was changed: %s", bare)
	}
	records := broker.Records(t, topic, 2)
	got, err := kafkabinding.Decode(messageOf(records[0]))
	if err != nil {
		t.Fatal(err)
	}
	if got.ID() == "" || got.Source() != "/order-service" || time.Since(got.Time()) > time.Minute {
		t.Errorf("published as %s", got)
	}
	got, err = kafkabinding.Decode(messageOf(records[1]))
	if err != nil || got.ID() != "full" || got.Source() != "/elsewhere" || !got.Time().Equal(full.Time()) {
		t.Errorf("published as %s, %v", got, err)
	}
	if err := publisher.Publish(t.Context(), topic); err != nil {
		t.Errorf("nothing to publish: %v", err)
	}
}

// TestPublishKeepsFailures: what cannot be published is told and dead-lettered, the rest is published.
func TestPublishKeepsFailures(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic, letters := broker.NewTopic(t, 1), broker.NewTopic(t, 1)
	sink := open(t, broker, nil)
	publisher := kafkasink.NewPublisher(sink, deadletter.NewWriter(sink, service, &deadletter.Options{Topic: letters}), "/order-service")

	invalid := newEvent("invalid", "order-2")
	invalid.SetType("")
	err := publisher.Publish(t.Context(), topic, newEvent("1", "order-1"), invalid)
	wantVerdict(t, err, function.DeadLetter, "event invalid", topic)
	if n := len(broker.Records(t, topic, 1)); n != 1 {
		t.Errorf("%d records, want the valid event", n)
	}

	missing := runtimetest.UniqueName(t)
	err = publisher.Publish(t.Context(), missing, newEvent("2", "order-3"))
	wantVerdict(t, err, function.Retry, "event 2", missing, "does not exist")

	for i, want := range []struct{ topic, key, id, class string }{
		{topic, "order-2", "", function.ClassOutput},
		{missing, "order-3", "2", function.ClassOutput},
	} {
		letter, err := deadletter.Parse(messageOf(broker.Records(t, letters, 2)[i]))
		if err != nil {
			t.Fatal(err)
		}
		if letter.Topic != want.topic || letter.Partition != -1 || letter.Offset != -1 || letter.Class != want.class ||
			letter.Retries != 0 || letter.Service != service || letter.Reason == "" || letter.First.IsZero() {
			t.Errorf("letter %d is %+v", i, letter)
		}
		if string(letter.Original.Key) != want.key {
			t.Errorf("letter %d has the key %q", i, letter.Original.Key)
		}
		if e, err := kafkabinding.Decode(letter.Original); want.id != "" && (err != nil || e.ID() != want.id) {
			t.Errorf("letter %d holds %s, %v", i, e, err)
		}
		if want.id == "" && !cmp.Equal(letter.Original.Value, invalid.Data()) {
			t.Errorf("letter %d holds %q", i, letter.Original.Value)
		}
	}
}

// noLetters is a dead letter topic that is down.
type noLetters struct {
	failure pipeline.Failure
	ended   error
}

var errNoLetters = errors.New("no dead letters today")

func (n *noLetters) Write(ctx context.Context, f pipeline.Failure) error {
	n.failure, n.ended = f, ctx.Err()
	return errNoLetters
}

func TestPublishTellsBothFailures(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	letters := &noLetters{}
	sink := open(t, broker, nil)
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := kafkasink.NewPublisher(sink, letters, "/s").Publish(ctx, "order-events", newEvent("1", "order-1"))
	if !errors.Is(err, errNoLetters) {
		t.Errorf("%v does not tell that the dead letter failed", err)
	}
	wantVerdict(t, err, function.Broken, "publish event 1", "dead letter")
	if letters.ended != nil {
		t.Errorf("the dead letter was given a context that has ended: %v", letters.ended)
	}
	if letters.failure.Class != "unavailable" || letters.failure.EventID != "1" {
		t.Errorf("failure is %+v", letters.failure)
	}
}
