package loadtest

import (
	"testing"
	"time"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestPercentile(t *testing.T) {
	t.Parallel()
	hundred := make([]time.Duration, 100)
	for i := range hundred {
		hundred[i] = time.Duration(i + 1)
	}
	for _, test := range []struct {
		sorted []time.Duration
		p      float64
		want   time.Duration
	}{
		{nil, 99, 0},
		{hundred[:1], 50, 1},
		{hundred[:2], 50, 1},
		{hundred[:3], 50, 2},
		{hundred[:10], 95, 10},
		{hundred, 50, 50},
		{hundred, 95, 95},
		{hundred, 99, 99},
	} {
		if got := percentile(test.sorted, test.p); got != test.want {
			t.Errorf("percentile %v of %d values is %d, want %d", test.p, len(test.sorted), got, test.want)
		}
	}
}

// Of all that is on notification-events, only requests that our orders caused are counted.
func TestTake(t *testing.T) {
	t.Parallel()
	a := newAnswers(2)
	begin := time.Now()
	a.expect([]string{"one", "two"}, begin)
	for _, n := range []struct{ eventType, id, cause string }{
		{notification.RequestedType, "n-1", "one"},
		{notification.SentType, "n-2", "two"},
		{notification.RequestedType, "n-3", "another"},
		{notification.RequestedType, "n-4", ""},
		{notification.RequestedType, "n-1", "one"},
		{notification.RequestedType, "n-1", "one"},
		{notification.RequestedType, "n-5", "one"},
	} {
		var m kafkabinding.Message
		for name, value := range map[string]string{
			"ce_specversion": "1.0", "ce_source": "/test", "ce_type": n.eventType, "ce_id": n.id, "ce_causationid": n.cause,
		} {
			if value != "" {
				m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(name), Value: []byte(value)})
			}
		}
		a.take(&pipeline.Record{Message: m}, begin.Add(time.Second))
	}
	a.take(&pipeline.Record{Message: kafkabinding.Message{Value: []byte("garbage")}}, begin)
	var got Result
	a.report(&got)
	second := time.Second
	if want := (Result{Matched: 1, Missing: 1, Duplicates: 2, Extra: 1, P50: second, P95: second, P99: second}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if a.complete() {
		t.Error("it is complete without an answer for order two")
	}
}
