package outbox

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

//go:embed migrations
var migrations embed.FS

// migrationsTable keeps which migrations were done.
const migrationsTable = "millrace_outbox_migrations"

// poll is how long the relay rests at most: what other processes put is found by looking.
const poll = 100 * time.Millisecond

// The bounds of Options.Lease.
const (
	DefaultLease = 15 * time.Second
	minLease     = 100 * time.Millisecond
)

// Options are the settings of an [Outbox]. nil is the default.
type Options struct {
	// Topics are those that events are put for. [Outbox.Put] refuses others, and the runtime checks when it starts that the
	// cluster has them. Default: any topic, unchecked.
	Topics []string
	// Lease is for how long a relay that does not answer keeps others from its shards, 100 ms at least. Default: 15 s.
	Lease time.Duration
	// Log is told of events that cannot be published. Default: slog.Default().
	Log *slog.Logger
}

// Outbox keeps events that are to be published in the tables millrace_outbox and millrace_outbox_shards of a database. Its
// methods may be called from many goroutines, and many processes may share a database.
type Outbox struct {
	db      *database.DB
	dialect *dialect
	options Options
	wake    chan struct{}
	// warned is when it was last told that what waits could not be counted, in nanoseconds since 1970.
	warned atomic.Int64
}

// New returns the outbox in a database, in which it creates its tables, or brings those of an older release up to date. The
// database is the caller's to close. o may be nil.
func New(ctx context.Context, db *database.DB, o *Options) (*Outbox, error) {
	options, err := o.complete()
	if err != nil {
		return nil, err
	}
	b := &Outbox{db: db, dialect: newDialect(db.Kind()), options: options, wake: make(chan struct{}, 1)}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = db.Migrate(ctx, files, migrationsTable)
	}
	if err != nil {
		return nil, fmt.Errorf("outbox: %w", err)
	}
	return b, nil
}

func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Lease == 0 {
		c.Lease = DefaultLease
	}
	if c.Lease < minLease {
		return Options{}, fmt.Errorf("outbox: Lease is %s, must be %s at least", c.Lease, minLease)
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	for _, topic := range c.Topics {
		if err := checkTopic(topic); err != nil {
			return Options{}, err
		}
	}
	return c, nil
}

// Put has events published to a topic, in their order, when tx is committed; tx is a transaction of the outbox's database. The
// events must be complete: id, source, type and time (function.Stamp helps). The partitionkey attribute is the key. Call
// [Outbox.Wake] after the commit.
//
// The error is an [*InvalidError] where the arguments exceed a limit. After any other error tx can only be rolled back. An
// event that waits already may be put once more: it is then published twice.
//
// In PostgreSQL other transactions wait to put events of the same topic and key until tx ends. Two that put events of the same
// keys by several calls, in another order, may wait for each other, which PostgreSQL ends for one of them
// (database.IsTransient).
func (b *Outbox) Put(ctx context.Context, tx *sql.Tx, topic string, events ...event.Event) error {
	if len(events) == 0 {
		return nil
	}
	s, err := b.Statement(topic, events...)
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, s.SQL, s.Args...); err != nil {
		return fmt.Errorf("put %d events into the outbox for topic %s: %w", len(events), topic, err)
	}
	return nil
}

// Statement is what [Outbox.Put] executes, for transactions of other clients than database/sql:
//
//	s, err := box.Statement(topic, events...)
//	_, err = tx.Exec(ctx, s.SQL, s.Args...) // a pgx.Tx
type Statement struct {
	SQL  string
	Args []any
}

// Statement returns the statement that has events, one at least, published to a topic when its transaction is committed. For the
// rest see [Outbox.Put].
func (b *Outbox) Statement(topic string, events ...event.Event) (Statement, error) {
	rows, err := b.options.encode(topic, events)
	if err != nil {
		return Statement{}, err
	}
	return b.dialect.put(topic, rows), nil
}

// Wake has the relay of this process look for what is due now. It does not wait. Whoever committed events calls it; where it is
// forgotten, they are published 100 ms later.
func (b *Outbox) Wake() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// Chore returns the relay as the runtime runs it. Its name is "outbox", and it measures what waits.
func (b *Outbox) Chore() function.Chore {
	return function.Chore{Name: "outbox", Every: poll, Wake: b.wake, Topics: b.options.Topics, Run: b.run, Measure: b.measure}
}

func (b *Outbox) run(ctx context.Context, publish function.Publish) error {
	_, more, err := b.relay(ctx, publish)
	if more {
		b.Wake()
	}
	return err
}
