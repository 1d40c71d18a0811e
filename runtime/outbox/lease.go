package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"
)

// lease is the right of a relay to publish what is in some shards. It is renewed in the background until it is over.
type lease struct {
	box    *Outbox
	owner  string
	shards []int64
	// detours are when events behind those of a few lanes may be looked for again, by shard.
	detours map[int64]time.Time

	// ctx ends with the relay's and with the lease.
	ctx      context.Context
	cancel   context.CancelFunc
	renewing sync.WaitGroup

	mu sync.Mutex
	// granted is when the lease was last asked for, by the clock of this process: it ends no sooner than that long after.
	granted time.Time
	expiry  *time.Timer
}

// acquire leases the shards that are free and have something due, or returns nil where there are none.
func (b *Outbox) acquire(ctx context.Context) (*lease, error) {
	free, err := b.numbers(ctx, b.db.Read(), b.dialect.free, b.db.Replanned()...)
	if err != nil || len(free) == 0 {
		return nil, wrap("look for what is due", err)
	}
	l := &lease{box: b, owner: uuid.NewString(), granted: time.Now(), detours: map[int64]time.Time{}}
	err = b.db.Transact(ctx, func(tx *sql.Tx) (err error) {
		l.granted = time.Now()
		l.shards, err = b.numbers(ctx, tx, b.dialect.lease, l.owner, b.options.Lease.Microseconds(), b.dialect.list(free))
		return err
	})
	if err != nil || len(l.shards) == 0 {
		return nil, wrap("lease shards", err)
	}
	slices.Sort(l.shards)
	l.ctx, l.cancel = context.WithCancel(ctx)
	l.expiry = time.AfterFunc(l.remaining(time.Now()), l.cancel)
	l.renewing.Go(l.keep)
	return l, nil
}

// span is how long the relay relies on a lease, by its own clock, which may be faster than that of the database.
func (l *lease) span() time.Duration { return l.box.options.Lease * 4 / 5 }

// remaining returns how long the relay relies on the lease from now on. Some clocks stand still while a machine sleeps, and
// others are set: the one that went further counts.
func (l *lease) remaining(now time.Time) time.Duration {
	return l.span() - max(now.Sub(l.granted), now.Round(0).Sub(l.granted.Round(0)))
}

// holds tells whether the shards are still the relay's.
func (l *lease) holds() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ctx.Err() == nil && l.remaining(time.Now()) > 0
}

// keep renews the lease until it is over. Where the database does not answer it ends by itself.
func (l *lease) keep() {
	every := time.NewTicker(l.box.options.Lease / 3)
	defer every.Stop()
	for {
		select {
		case <-l.ctx.Done():
			return
		case <-every.C:
		}
		asked := time.Now()
		lost, err := l.renew()
		if lost {
			l.cancel()
		}
		if err == nil {
			l.extend(asked)
		}
	}
}

// renew asks the database for more time. lost says that a shard is another relay's.
func (l *lease) renew() (lost bool, err error) {
	err = l.box.db.Transact(l.ctx, func(tx *sql.Tx) error {
		result, err := tx.ExecContext(l.ctx, l.box.dialect.renew, l.owner, l.box.options.Lease.Microseconds())
		if err != nil {
			return err
		}
		renewed, err := result.RowsAffected()
		lost = err == nil && renewed < int64(len(l.shards))
		return err
	})
	return lost, err
}

func (l *lease) extend(asked time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ctx.Err() == nil && l.remaining(time.Now()) > 0 {
		l.granted = asked
		l.expiry.Reset(l.remaining(time.Now()))
	}
}

// end stops the renewal. Rows may be removed afterwards, but nothing may be published.
func (l *lease) end() {
	l.cancel()
	l.expiry.Stop()
	l.renewing.Wait()
}

// numbers returns the rows of a statement that have one number each.
func (b *Outbox) numbers(ctx context.Context, q querier, statement string, args ...any) ([]int64, error) {
	rows, err := q.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var numbers []int64
	for rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return nil, err
		}
		numbers = append(numbers, n)
	}
	return numbers, rows.Err()
}

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// wrap says what the outbox did when err came about.
func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("outbox: %s: %w", what, err)
}
