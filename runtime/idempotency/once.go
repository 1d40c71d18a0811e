package idempotency

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	// Margin is how much longer a claim lasts than the function's time-out: room to store the outcome.
	Margin = 2 * storeTimeout
	// Dependency names the store in errors, metrics and circuits.
	Dependency = "idempotency store"

	// storeTimeout bounds each step of the store.
	storeTimeout = 5 * time.Second
	// longestWait is how long a record waits at most before it asks again whether its event is free: its owner may be done
	// long before its lease ends.
	longestWait = time.Second
	// firstPause comes before a step that must not be left out is tried a second time; it doubles.
	firstPause = 50 * time.Millisecond
)

// Once remembers the events that one function has handled. It implements pipeline.Once and may be called from many
// goroutines.
type Once struct {
	store    Store
	function string
	lease    time.Duration
}

// New returns what remembers the events of the function of spec, whose time-out must be set.
func New(store Store, spec function.Spec) *Once {
	return &Once{store: store, function: spec.Name, lease: spec.Timeout + Margin}
}

// Do claims d.Event, calls produce and stores what it returned; of an event that was handled before it returns what is
// still to be published. Its error is
//
//   - a *function.WaitError where another owner works on the event: the record waits, no attempt is spent
//   - a *function.UnavailableError where the store does not answer
//   - [ErrLost] where the claim was lost meanwhile: the attempt failed, and the next finds what the new owner did
//   - produce's own otherwise, after the claim was released
func (o *Once) Do(ctx context.Context, d *pipeline.Delivery, produce pipeline.Produce) ([]event.Event, func(context.Context) error, error) {
	key, token := keyOf(o.function, d.Event), uuid.New()
	entry, err := o.claim(ctx, key, token)
	if err != nil {
		return nil, nil, explain(err)
	}
	if entry.State != Claimed {
		return remembered(o.store, key, entry)
	}
	d.Recall(entry.Past)
	events, err := o.work(ctx, d, key, token, produce)
	if err != nil {
		return nil, nil, err
	}
	return events, notePublished(o.store, key, events), nil
}

// Buried implements [pipeline.Once].
func (o *Once) Buried(ctx context.Context, e event.Event) error {
	return forget(ctx, o.store, keyOf(o.function, e))
}

func keyOf(name string, e event.Event) Key {
	return Key{Function: name, Source: e.Source(), ID: e.ID()}
}

func (o *Once) claim(ctx context.Context, key Key, token Token) (Entry, error) {
	ctx, cancel := context.WithTimeout(ctx, storeTimeout)
	defer cancel()
	return o.store.Claim(ctx, key, token, o.lease)
}

// work calls produce and completes the claim. When it cannot, also because produce panics, it releases the claim.
func (o *Once) work(ctx context.Context, d *pipeline.Delivery, key Key, token Token, produce pipeline.Produce) (events []event.Event, err error) {
	completed := false
	defer func() {
		if !completed {
			err = released(err, o.lease, o.release(ctx, key, token, endOf(d, err)))
		}
	}()
	events, err = produce(ctx, d)
	if err != nil {
		return nil, err
	}
	text, err := encode(events)
	if err != nil {
		return nil, err
	}
	if err := o.complete(ctx, key, token, text); err != nil {
		return nil, err
	}
	completed = true
	return events, nil
}

// complete stores an outcome. The handler has done its work: so it is tried for as long as the claim surely lasts.
func (o *Once) complete(ctx context.Context, key Key, token Token, text []byte) error {
	err := persist(ctx, func(ctx context.Context) error { return o.store.Complete(ctx, key, token, text) })
	switch {
	case err == nil:
		return nil
	case errors.Is(err, ErrLost):
		return fmt.Errorf("%s: %w", key, err)
	}
	return function.Unavailable(Dependency, fmt.Errorf("store the outcome of %s: %w", key, err))
}

func (o *Once) release(ctx context.Context, key Key, token Token, end End) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	return o.store.Release(ctx, key, token, end)
}

// endOf is what the attempt at d counts as, which ended with err; nil stands for a panic. What the pipeline does not count
// is not counted here.
func endOf(d *pipeline.Delivery, err error) End {
	verdict := function.VerdictOf(err)
	switch {
	case verdict == function.Dropped:
		return Dropped
	case verdict == function.Broken, errors.Is(err, pipeline.ErrSpent), d.GivenUp():
		return Uncounted
	}
	return Failed
}

// released returns cause. A claim that could not be released ends with its lease; until then the event waits, and the
// error says why.
func released(cause error, lease time.Duration, err error) error {
	if err == nil || cause == nil {
		return cause
	}
	return fmt.Errorf("%w (the claim could not be released and ends within %s: %v)", cause, lease, err) //nolint:errorlint // the cause decides what becomes of the record
}

// forget forgets the attempts at an event.
func forget(ctx context.Context, store Store, key Key) error {
	err := persist(ctx, func(ctx context.Context) error { return store.Forget(ctx, key) })
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	return nil
}

// persist tries a step that must not be left out until it is done or [ErrLost], for storeTimeout at most, also when the
// process has to leave.
func persist(ctx context.Context, step func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
	defer cancel()
	for pause := firstPause; ; pause *= 2 {
		err := step(ctx)
		if err == nil || errors.Is(err, ErrLost) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
		}
	}
}

// remembered is the answer for an event that was handled before.
func remembered(store Store, key Key, entry Entry) ([]event.Event, func(context.Context) error, error) {
	if entry.State == Published {
		return nil, nil, nil
	}
	events, err := decode(entry.Outcome)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", key, err)
	}
	return events, notePublished(store, key, events), nil
}

// notePublished returns what notes that events are published, nil where there are none: such an entry is complete.
func notePublished(store Store, key Key, events []event.Event) func(context.Context) error {
	if len(events) == 0 {
		return nil
	}
	return func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storeTimeout)
		defer cancel()
		// The events are out. Failing the attempt would publish them again now; without the note they are published again,
		// with the same ids, only should the event be delivered once more.
		_ = store.Published(ctx, key)
		return nil
	}
}

// explain turns the error of a claim into what becomes of the record.
func explain(err error) error {
	if held, ok := errors.AsType[*HeldError](err); ok {
		wait := longestWait
		if held.Remaining > 0 {
			wait = min(held.Remaining, longestWait)
		}
		return &function.WaitError{After: wait, Err: held}
	}
	if errors.Is(err, ErrBusy) {
		return &function.WaitError{Err: err}
	}
	return function.Unavailable(Dependency, err)
}
