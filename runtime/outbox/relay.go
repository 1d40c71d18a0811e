package outbox

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/internal/eventrow"
)

const (
	// runTime is how long a run lasts where much is due: then other relays may take their part.
	runTime = 2 * time.Second
	// tidyTime bounds what is done when the relay has to end: to take note of what was published, and give leases back.
	tidyTime = 2 * time.Second
	// firstPause and maxPause bound how long an event rests that failed.
	firstPause = time.Second
	maxPause   = time.Minute
	// maxError is how much of an error is kept, in bytes.
	maxError = 500
)

// Relay publishes what is due and tells how many events were acknowledged. It returns when nothing is due any more, or after
// about 2 seconds: call it again then. Several may run at once, also in other processes. publish is called from the goroutine of
// Relay, and its errors are understood as those of [function.Publish].
//
// The error is publish's where the broker cannot be reached, and one of the database otherwise. Events that cannot be published
// are no error of the relay: see [Outbox.Stats].
//
// When ctx ends nothing more is published, and Relay takes note of what was, for 2 seconds at most; where the database takes no
// note, it gives its shards back for as long.
func (b *Outbox) Relay(ctx context.Context, publish function.Publish) (published int, err error) {
	published, _, err = b.relay(ctx, publish)
	return published, err
}

// relay is Relay, and tells whether more was due when its time was over. It looks once more after it gave its shards back: who
// committed while they were leased found them so, and left it to this relay, which may have read its last page before.
func (b *Outbox) relay(ctx context.Context, publish function.Publish) (published int, more bool, err error) {
	for until := time.Now().Add(runTime); ; {
		l, err := b.acquire(ctx)
		if l == nil {
			return published, false, err
		}
		n, more, err := b.drain(ctx, l, until, publish)
		published += n
		over := time.Now().After(until)
		if more || over || err != nil || ctx.Err() != nil {
			return published, (more || over) && err == nil, err
		}
	}
}

// drain publishes what is due in the shards of a lease until nothing is, and gives them back. more tells that its time was over
// before.
func (b *Outbox) drain(ctx context.Context, l *lease, until time.Time, publish function.Publish) (published int, more bool, err error) {
	defer l.end()
	for {
		var p *pass
		p, more, err = b.next(l)
		if err == nil {
			err = p.publish(l, publish)
		}
		more = more || len(p.lanes) > 0
		last := err != nil || !more || !l.holds() || time.Now().After(until)
		if last {
			l.end()
		}
		unsettled := b.settle(ctx, l, p, last)
		published += len(p.acknowledged)
		if unsettled != nil { // to go on would be to publish the same events again; the lease is to be given back nevertheless
			l.end()
			return published, false, errors.Join(err, unsettled, b.settle(ctx, l, newPass(), true))
		}
		if last {
			return published, more, err
		}
	}
}

// next reads a page of each shard.
func (b *Outbox) next(l *lease) (p *pass, more bool, err error) {
	p = newPass()
	for _, shard := range l.shards {
		page, full, err := b.read(l.ctx, l, shard)
		if err != nil {
			return p, false, wrap("read what is due", err)
		}
		p.add(page)
		more = more || full
	}
	return p, more, nil
}

// settle takes note of what became of events, and gives the lease back after the last ones. What was published may be removed
// also when the lease is over: nobody needs to publish it again.
func (b *Outbox) settle(ctx context.Context, l *lease, p *pass, last bool) error {
	ctx, cancel := tidy(ctx)
	defer cancel()
	err := b.db.Transact(ctx, func(tx *sql.Tx) error {
		for of, positions := range p.removals() {
			first, last := slices.Min(positions), slices.Max(positions)
			args := b.db.Replanned(of.shard, first, last, b.dialect.list(positions))
			if _, err := tx.ExecContext(ctx, b.dialect.remove, args...); err != nil {
				return err
			}
		}
		for _, w := range p.failed {
			text := strings.ToValidUTF8(strings.ReplaceAll(w.err.Error(), "\x00", ""), "")
			text = strings.ToValidUTF8(text[:min(len(text), maxError)], "")
			if _, err := tx.ExecContext(ctx, b.dialect.fail, w.shard, w.position, text, pause(w.failed).Microseconds()); err != nil {
				return err
			}
		}
		if !last {
			return nil
		}
		_, err := tx.ExecContext(ctx, b.dialect.release, l.owner)
		return err
	})
	b.tell(ctx, p.failed)
	return wrap("remove what was published", err)
}

// tidy returns a context that ends a while after ctx.
func tidy(ctx context.Context) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(tidyTime, cancel) })
	return longer, func() {
		stop()
		cancel()
	}
}

// pause returns how long an event rests that failed so many times before.
func pause(failed int) time.Duration {
	d := min(firstPause<<min(failed, 10), maxPause)
	return d/2 + rand.N(d/2)
}

// tell writes a line about events that could not be published.
func (b *Outbox) tell(ctx context.Context, failed []*waiting) {
	if len(failed) == 0 {
		return
	}
	first := failed[0]
	b.options.Log.ErrorContext(ctx, "an event of the outbox cannot be published: those with its key wait until it can",
		"topic", first.topic, "event", eventrow.ID(first.event), "position", first.position, "attempts", first.failed+1,
		"others", len(failed)-1, "error", first.err)
}
