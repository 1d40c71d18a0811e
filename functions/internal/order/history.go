package order

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/runtime/function"
)

// UnknownTypeError says that an event is none of an order: the program is older than the stream, or the stream holds
// something else.
type UnknownTypeError struct {
	// Type is the event's CloudEvents type.
	Type string
}

func (e *UnknownTypeError) Error() string {
	return fmt.Sprintf("event type %q is none of an order: is the program older than the stream?", e.Type)
}

// HistoryError says that a fact cannot be the next of an order.
type HistoryError struct {
	OrderID string
	// Version is that of the order before the fact.
	Version int64
	// Err says why: an [*UnknownTypeError], or that facts of another stream got in between.
	Err error
}

func (e *HistoryError) Error() string {
	return fmt.Sprintf("order %s, event %d of its stream: %v", e.OrderID, e.Version+1, e.Err)
}

// Unwrap returns Err.
func (e *HistoryError) Unwrap() error { return e.Err }

var (
	errOtherOrder = errors.New("it is about another order")
	errNotCreated = errors.New("the order must be created first")
	errTwice      = errors.New("the order is created already")
)

// Decode reads a stored fact, a value that Apply takes. A type that is none of an order's is an [*UnknownTypeError], data
// that does not fit the schema of its type a [*schemas.Error]. Data of older types must have been made new ones before.
func Decode(eventType string, data []byte) (function.Payload, error) {
	switch eventType {
	case fact.CreatedType:
		return decode[fact.Created](data)
	case fact.PaidType:
		return decode[fact.Paid](data)
	case fact.ProcessingStartedType:
		return decode[fact.ProcessingStarted](data)
	case fact.ShippedType:
		return decode[fact.Shipped](data)
	case fact.DeliveredType:
		return decode[fact.Delivered](data)
	case fact.CancelledType:
		return decode[fact.Cancelled](data)
	case fact.RefundedType:
		return decode[fact.Refunded](data)
	}
	return nil, &UnknownTypeError{Type: eventType}
}

func decode[T function.Payload](data []byte) (function.Payload, error) {
	var told T
	if err := schemas.Validate(told.EventType(), data); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &told); err != nil {
		return nil, fmt.Errorf("data of %s: %w", told.EventType(), err)
	}
	return told, nil
}

// Apply returns the order after facts, in their order. It knows no rules but that an order begins by being created, once,
// and that the facts are its own: else it returns a [*HistoryError], and the order before the fact that cannot be.
func (o Order) Apply(facts ...function.Payload) (Order, error) {
	for _, told := range facts {
		next, err := o.after(told)
		if err != nil {
			return o, &HistoryError{OrderID: o.ID, Version: o.Version, Err: err}
		}
		next.Version++
		o = next
	}
	return o, nil
}

// after returns o with told in its place.
func (o Order) after(told function.Payload) (Order, error) {
	switch told := told.(type) {
	case fact.Created:
		o.Created = told
		return o, o.first(told)
	case fact.Paid:
		o.Paid = told
	case fact.ProcessingStarted:
		o.ProcessingStarted = told
	case fact.Shipped:
		o.Shipped = told
	case fact.Delivered:
		o.Delivered = told
	case fact.Cancelled:
		o.Cancelled = told
	case fact.Refunded:
		o.Refunded = told
	case nil:
		return o, &UnknownTypeError{}
	default:
		return o, &UnknownTypeError{Type: told.EventType()}
	}
	return o, o.later(told)
}

// first returns why told cannot be the first fact of o.
func (o Order) first(told fact.Created) error {
	if told.OrderID != o.ID {
		return errOtherOrder
	}
	if o.Version > 0 {
		return errTwice
	}
	return nil
}

// later returns why told cannot follow what was told of o before.
func (o Order) later(told function.Payload) error {
	if told.AggregateID() != o.ID {
		return errOtherOrder
	}
	if o.Version == 0 {
		return errNotCreated
	}
	return nil
}
