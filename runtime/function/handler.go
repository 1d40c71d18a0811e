package function

import (
	"context"
	"fmt"
	"slices"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/schemas"
)

// Handler handles the events of the types it accepts. The runtime calls Handle from many goroutines at once, but never
// for two records of the same key at a time (see [Order]).
//
// The events that Handle returns are published before the record counts as finished. Its error decides what becomes of
// the record: see [VerdictOf]. A handler may be called again for the same event after a crash or a rebalance: its
// effects must bear that.
//
// The context ends at the function's time-out and when the process has to leave. The event's data is valid until Handle
// returns; copy what is to be kept.
type Handler interface {
	// Types lists the CloudEvents types that Handle accepts.
	Types() []string
	Handle(ctx context.Context, e event.Event) ([]event.Event, error)
}

// On returns a Handler for one event type. The event's data is checked against the type's JSON Schema, where
// cloudevents/schemas has one, and decoded into T, strictly: a name that stands twice or differs in case is an error, an
// unknown name is passed over. Data that does not fit is dead-lettered at once, with the error class "schema".
func On[T any](eventType string, handle func(context.Context, event.Event, T) ([]event.Event, error)) Handler {
	return typed[T]{eventType: eventType, handle: handle}
}

type typed[T any] struct {
	eventType string
	handle    func(context.Context, event.Event, T) ([]event.Event, error)
}

func (h typed[T]) Types() []string { return []string{h.eventType} }

func (h typed[T]) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	if err := schemas.Validate(h.eventType, e.Data()); err != nil {
		return nil, &PermanentError{Class: ClassSchema, Err: err}
	}
	var payload T
	if err := json.Unmarshal(e.Data(), &payload); err != nil {
		return nil, &PermanentError{Class: ClassSchema, Err: fmt.Errorf("data of %s: %w", h.eventType, err)}
	}
	return h.handle(ctx, e, payload)
}

// Raw returns a Handler that gets events as they are, without a look at their data.
func Raw(handle func(context.Context, event.Event) ([]event.Event, error), eventTypes ...string) Handler {
	return raw{types: eventTypes, handle: handle}
}

type raw struct {
	types  []string
	handle func(context.Context, event.Event) ([]event.Event, error)
}

func (h raw) Types() []string { return h.types }

func (h raw) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	return h.handle(ctx, e)
}

// PassBy returns a Handler that finishes events of these types, with [ErrPassedBy]: they are on the topic and not the
// function's business. A type that no Handler of a group accepts is passed by, too, but warned of, since it may be a mistake.
func PassBy(eventTypes ...string) Handler { return Raw(passBy, eventTypes...) }

func passBy(context.Context, event.Event) ([]event.Event, error) { return nil, ErrPassedBy }

// Route joins handlers of different types into one. It panics when two accept the same type: that is a mistake of the
// program, found when it starts.
func Route(handlers ...Handler) Handler {
	r := route{byType: map[string]Handler{}}
	for _, h := range handlers {
		for _, t := range h.Types() {
			if _, taken := r.byType[t]; taken {
				panic(fmt.Sprintf("function.Route: two handlers accept %s", t))
			}
			r.byType[t] = h
			r.types = append(r.types, t)
		}
	}
	return r
}

type route struct {
	byType map[string]Handler
	types  []string
}

func (r route) Types() []string { return slices.Clone(r.types) }

func (r route) Handle(ctx context.Context, e event.Event) ([]event.Event, error) {
	h, ok := r.byType[e.Type()]
	if !ok {
		return nil, Permanent(fmt.Errorf("no handler accepts type %s", e.Type()))
	}
	return h.Handle(ctx, e)
}
