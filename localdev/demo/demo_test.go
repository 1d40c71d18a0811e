package demo_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/cloudevents/user"
	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/demo"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// day is what happens in a shop in the course of n half seconds.
type day struct {
	events   []event.Event
	requests []string // their paths
}

// live lets a shop whose API says yes to everything live through n half seconds.
func live(seed uint64, n int) (d day) {
	shop := demo.NewShop(seed)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for i := range n {
		now := now.Add(time.Duration(i) * 500 * time.Millisecond)
		s := shop.Next(now)
		if s.Event != nil {
			d.events = append(d.events, *s.Event)
			continue
		}
		d.requests = append(d.requests, s.Request.Path)
		a := demo.Answer{Status: http.StatusOK}
		if s.Request.Path == "/orders" {
			a = demo.Answer{Status: http.StatusCreated, OrderID: fmt.Sprintf("api-%d", i)}
		}
		s.Request.Answered(a, now)
	}
	return d
}

func TestEverythingThatCanHappenHappens(t *testing.T) {
	t.Parallel()
	d := live(1, 400)
	if d.requests[0] != "/orders" {
		t.Errorf("the first request is %s, want an order", d.requests[0])
	}
	seen := map[string]int{}
	for _, e := range d.events {
		seen[e.Type()]++
	}
	for _, path := range d.requests {
		seen[path[strings.LastIndex(path, "/"):]]++
	}
	for _, want := range []string{
		order.CreatedType, order.ShippedType, order.CancelledType, user.RegisteredType, product.OutOfStockType,
		"/orders", "/payment", "/shipment", "/delivery", "/cancellation",
	} {
		if seen[want] == 0 {
			t.Errorf("no %s among %v", want, seen)
		}
	}
}

func TestEventsAreValid(t *testing.T) {
	t.Parallel()
	ids := map[string]bool{}
	for _, e := range live(2, 500).events {
		if err := e.Validate(); err != nil {
			t.Fatal(err)
		}
		if err := schemas.Validate(e.Type(), e.Data()); err != nil {
			t.Fatal(err)
		}
		if ids[e.ID()] {
			t.Fatalf("id %s stands twice", e.ID())
		}
		ids[e.ID()] = true
		if e.Extensions()["correlationid"] == nil {
			t.Fatalf("%s has no correlation", e.Type())
		}
	}
}

// courses are what can happen to an order of another program, up to any point.
var courses = []string{"created ", "created shipped ", "created cancelled "}

func TestAnOrderTakesItsCourse(t *testing.T) {
	t.Parallel()
	steps := map[string]string{}
	flows := map[string]any{}
	for _, e := range live(3, 500).events {
		if !strings.HasPrefix(e.Subject(), "order-") {
			continue
		}
		steps[e.Subject()] += strings.Split(e.Type(), ".")[3] + " "
		if flow := e.Extensions()["correlationid"]; flows[e.Subject()] == nil {
			flows[e.Subject()] = flow
		} else if flows[e.Subject()] != flow {
			t.Errorf("%s changed its correlation", e.Subject())
		}
	}
	for subject, course := range steps {
		if !slices.Contains(courses, course) {
			t.Errorf("%s was %s", subject, course)
		}
	}
}

func TestShopsOfOneSeedDoTheSame(t *testing.T) {
	t.Parallel()
	first, again, other := live(4, 50).events, live(4, 50).events, live(5, 50).events
	for i := range first {
		cloudeventstest.Equal(t, first[i], again[i])
	}
	if first[0].ID() == other[0].ID() {
		t.Error("shops of different seeds share ids")
	}
}

func TestRecordsLeadBackToTheirEvents(t *testing.T) {
	t.Parallel()
	for _, e := range live(6, 30).events {
		for _, f := range []demo.Format{demo.Envelope, demo.Binary, demo.Structured} {
			r, err := demo.Record(e, f)
			if err != nil {
				t.Fatal(err)
			}
			if string(r.Key) != e.Subject() {
				t.Errorf("key %s, want %s", r.Key, e.Subject())
			}
			got, err := decode(r, f)
			if err != nil {
				t.Fatal(err)
			}
			if f == demo.Envelope {
				got.SetExtension(envelope.AggregateVersion, nil)
			}
			cloudeventstest.Equal(t, e, got)
		}
	}
}

func decode(r *kgo.Record, f demo.Format) (event.Event, error) {
	if f == demo.Envelope {
		return envelope.Decode(r.Value)
	}
	m := kafkabinding.Message{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return kafkabinding.Decode(m)
}

func TestRecordOfAnUnknownType(t *testing.T) {
	t.Parallel()
	if _, err := demo.Record(cloudeventstest.Event(t, "unknown", nil), demo.Binary); err == nil {
		t.Error("an event without a topic became a record")
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	client, err := cluster.Connect(t.Context(), kafkaclient.Config{Brokers: []string{b.Addr()}},
		kgo.ConsumeTopics("order-events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	ended := make(chan error, 1)
	go func() { ended <- demo.Run(ctx, client, demo.NewShop(7), "") }()
	var got []*kgo.Record
	for len(got) < 2 && ctx.Err() == nil {
		got = append(got, client.PollFetches(ctx).Records()...)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if len(got) < 2 {
		t.Fatalf("%d orders within 30 s", len(got))
	}
	for _, r := range got {
		if !strings.HasPrefix(string(r.Key), "order-") {
			t.Errorf("a record of orders has the key %q", r.Key)
		}
	}
}
