package orderstore

import (
	"context"
	"crypto/rand"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

// Source is the source of every fact of an order.
const Source = "/order-service"

// The names by which ids of facts are derived: whoever changes one makes repeated changes new ones.
const (
	eventIDs   = "order-service"
	requestIDs = "order-service request"
)

// Cause is where a change comes from. The ids of its facts follow from Parent, or else from the order and Key: a change with
// the same cause is the same change.
type Cause struct {
	// Parent is the event that asks for the change, if one does. It asks for a change of one order.
	Parent *event.Event
	// Key names the request that asks for the change, where no event does: another key for whatever is another request to
	// change the order. Empty: random, so that the change is done whenever it is asked for.
	Key string
	// CorrelationID names the flow that the change belongs to, and CausationID the event or the request that caused it. With a
	// Parent they are told by it. A flow without a name is named by its first fact.
	CorrelationID, CausationID string
	// At is the time of the facts. Default: now.
	At time.Time
}

// named returns c with its defaults.
func (c Cause) named() Cause {
	if c.Parent == nil && c.Key == "" {
		c.Key = rand.Text()
	}
	if c.At.IsZero() {
		c.At = time.Now()
	}
	return c
}

// id returns the id of a fact by its place among those of the change of an order.
func (c Cause) id(orderID string, place int) string {
	if c.Parent != nil {
		return function.EmittedID(eventIDs, c.Parent.Source(), c.Parent.ID(), place)
	}
	return function.EmittedID(requestIDs, Stream(orderID), c.Key, place)
}

// tell returns facts that follow o as events.
func (c Cause) tell(ctx context.Context, o order.Order, facts []function.Payload) ([]event.Event, error) {
	events := make([]event.Event, len(facts))
	for i, told := range facts {
		e, err := function.NewEvent(told)
		if err != nil {
			return nil, err
		}
		e.SetID(c.id(o.ID, i))
		e.SetSource(Source)
		e.SetTime(c.At.UTC())
		e.SetExtension(envelope.AggregateVersion, int32(o.Version)+int32(i)+1) //nolint:gosec // an order has a handful of facts
		events[i] = e
	}
	c.stamp(events)
	c.trace(ctx).Stamp(events)
	return events, nil
}

// trace returns the trace that the change is part of: that of the attempt or the request, or else of the event.
func (c Cause) trace(ctx context.Context) function.Trace {
	if t := function.TraceFrom(ctx); !t.IsZero() || c.Parent == nil {
		return t
	}
	return function.TraceOf(*c.Parent)
}

// stamp says which flow events belong to.
func (c Cause) stamp(events []event.Event) {
	if c.Parent != nil {
		function.Stamp(&function.Spec{Source: Source}, *c.Parent, events, c.At)
		return
	}
	correlation := c.CorrelationID
	if correlation == "" {
		correlation = events[0].ID()
	}
	for i := range events {
		events[i].SetExtension(function.CorrelationID, correlation)
		if c.CausationID != "" {
			events[i].SetExtension(function.CausationID, c.CausationID)
		}
	}
}
