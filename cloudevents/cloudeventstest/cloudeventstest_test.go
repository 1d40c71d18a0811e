package cloudeventstest_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
)

func TestEvent(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]any{"none": nil, "bytes": []byte(`{}`), "value": map[string]int{"a": 1}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := cloudeventstest.Event(t, "t", data), cloudeventstest.Event(t, "t", data)
			if err := first.Validate(); err != nil {
				t.Error(err)
			}
			if first.ID() == second.ID() {
				t.Error("two events have the same id")
			}
			if (first.Data() == nil) != (data == nil) || (first.DataContentType() == "") != (data == nil) {
				t.Errorf("data is %q, of type %q", first.Data(), first.DataContentType())
			}
		})
	}
}

// TestOrderCreated: what tests call an order is one.
func TestOrderCreated(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		e := cloudeventstest.OrderCreated(t, n)
		if err := schemas.Validate(order.CreatedType, e.Data()); err != nil {
			t.Error(err)
		}
		fromEnvelope, err := envelope.Decode(cloudeventstest.OrderCreatedEnvelope(n))
		if err != nil {
			t.Fatal(err)
		}
		if e.Type() != fromEnvelope.Type() || e.Subject() != fromEnvelope.Subject() || string(e.Data()) != string(fromEnvelope.Data()) {
			t.Errorf("event and envelope of order %d differ:\n%s%s", n, e, fromEnvelope)
		}
	}
	first, again := cloudeventstest.OrderCreatedEnvelope(1), cloudeventstest.OrderCreatedEnvelope(1)
	if !bytes.Equal(first, again) {
		t.Error("the envelope of an order is not always the same")
	}
}

func TestRecord(t *testing.T) {
	t.Parallel()
	m := cloudeventstest.Record(t, cloudeventstest.OrderCreated(t, 7))
	if string(m.Key) != "order-7" || len(m.Headers) == 0 {
		t.Errorf("message is %v", m)
	}
}

func TestDiff(t *testing.T) {
	t.Parallel()
	base := cloudeventstest.OrderCreated(t, 1)
	for name, change := range map[string]func(*event.Event, *event.EventContextV1){
		"id":               func(_ *event.Event, ec *event.EventContextV1) { ec.ID = "2" },
		"source":           func(_ *event.Event, ec *event.EventContextV1) { ec.Source.Path = "/b" },
		"subject":          func(_ *event.Event, ec *event.EventContextV1) { ec.Subject = nil },
		"time":             func(_ *event.Event, ec *event.EventContextV1) { ec.Time.Time = ec.Time.Add(1) },
		"extension":        func(_ *event.Event, ec *event.EventContextV1) { delete(ec.Extensions, "causationid") },
		"extension's type": func(_ *event.Event, ec *event.EventContextV1) { ec.Extensions["causationid"] = int32(1) },
		"data":             func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = []byte(`{}`) },
		"no data":          func(e *event.Event, _ *event.EventContextV1) { e.DataEncoded = nil },
		"no context":       func(e *event.Event, _ *event.EventContextV1) { e.Context = nil },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := base.Clone()
			ec := other.Context.(*event.EventContextV1)
			change(&other, ec)
			if cloudeventstest.Diff(base, other) == "" {
				t.Error("no difference is seen")
			}
		})
	}
	empty, none := base.Clone(), base.Clone()
	empty.DataEncoded, none.DataEncoded = []byte{}, nil
	if cloudeventstest.Diff(empty, none) == "" {
		t.Error("empty data and no data are the same")
	}
}

func TestDiffSeesSameEvents(t *testing.T) {
	t.Parallel()
	base := cloudeventstest.OrderCreated(t, 1)
	base.Context.(*event.EventContextV1).Extensions = nil
	other := base.Clone()
	ec := other.Context.(*event.EventContextV1)
	ec.Extensions = map[string]any{}
	ec.Time.Time = ec.Time.In(time.FixedZone("", 3600))
	ec.Source.ForceQuery = false
	other.DataBase64 = true
	cloudeventstest.Equal(t, base, other)
}

func TestEventsAreValid(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		if err := cloudeventstest.Events().Draw(t, "event").Validate(); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBindingCases: each case says one thing, under a name of its own.
func TestBindingCases(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, c := range cloudeventstest.BindingCases() {
		if seen[c.Name] || strings.TrimSpace(c.Name) == "" {
			t.Errorf("two cases are called %q", c.Name)
		}
		seen[c.Name] = true
		outcomes := 0
		for _, set := range []bool{c.Want != nil, c.NotCloudEvent, c.Fault != nil} {
			if set {
				outcomes++
			}
		}
		if outcomes != 1 {
			t.Errorf("case %q has %d outcomes", c.Name, outcomes)
		}
		if c.Want != nil {
			if err := c.Want.Validate(); err != nil {
				t.Errorf("case %q: %v", c.Name, err)
			}
		}
	}
}
