package projection

import (
	"context"
	"embed"
	"fmt"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
)

//go:embed migrations
var migrations embed.FS

// migrationsTable keeps which migrations were done.
const migrationsTable = "millrace_projections_migrations"

// Options are the settings of a [Projection]. nil is the default.
type Options struct {
	// Batch is how many events one transaction takes at most, up to eventstore.MaxRead. Default: 500.
	Batch int
	// BatchTime is how long one transaction applies events at most, but for the first one: so long others may have to wait for
	// it. Default: 50 ms.
	BatchTime time.Duration
	// Every is how often [Projection.Chore] looks for events that nobody told it of. Default: 1 s.
	Every time.Duration
	// Grace is how long a generation is kept after another took its place, and after it was last followed. No query may
	// run longer. Default: 10 minutes.
	Grace time.Duration
}

// The defaults of [Options].
const (
	DefaultBatch     = 500
	DefaultBatchTime = 50 * time.Millisecond
	DefaultEvery     = function.DefaultEvery
	DefaultGrace     = 10 * time.Minute
)

func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Batch == 0 {
		c.Batch = DefaultBatch
	}
	if c.BatchTime == 0 {
		c.BatchTime = DefaultBatchTime
	}
	if c.Every == 0 {
		c.Every = DefaultEvery
	}
	if c.Grace == 0 {
		c.Grace = DefaultGrace
	}
	if c.Batch < 1 || c.Batch > eventstore.MaxRead {
		return c, fmt.Errorf("option Batch is %d, must be 1 to %d", c.Batch, eventstore.MaxRead)
	}
	if c.BatchTime < 0 || c.Every < 0 || c.Grace < 0 {
		return c, fmt.Errorf("options BatchTime %s, Every %s and Grace %s must be positive", c.BatchTime, c.Every, c.Grace)
	}
	return c, nil
}

// Projection brings the tables of a definition up to date. Its methods may be called from many goroutines, and many processes
// may follow the same projection.
type Projection struct {
	db         *database.DB
	store      *eventstore.Store
	definition Definition
	options    Options
	// turn is held by the goroutine that catches up. begun counts those that began, last is what became of the last one.
	turn  chan struct{}
	begun atomic.Int64
	last  outcome
	// wake asks the chore to go on. It works for slice until it is called again.
	wake  chan struct{}
	slice time.Duration
}

// outcome is the end of a run.
type outcome struct {
	// run is its number, from 1 on.
	run int64
	err error
}

// New returns the projection of the events of store. Its tables are in db, which must be the database of the store. Where
// there is no generation of the definition's schema yet, one is begun. o may be nil.
func New(ctx context.Context, db *database.DB, store *eventstore.Store, d Definition, o *Options) (*Projection, error) {
	d, err := d.complete()
	if err != nil {
		return nil, err
	}
	options, err := o.complete()
	if err != nil {
		return nil, fmt.Errorf("projection %s: %w", d.Name, err)
	}
	files, err := fs.Sub(migrations, "migrations")
	if err == nil {
		err = db.Migrate(ctx, files, migrationsTable)
	}
	if err != nil {
		return nil, fmt.Errorf("projection %s: %w", d.Name, err)
	}
	p := &Projection{
		db: db, store: store, definition: d, options: options,
		turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), slice: defaultSlice,
	}
	if _, err := p.begin(ctx, unlessThereIsOne); err != nil {
		return nil, err
	}
	horizon, err := store.Horizon(ctx)
	if err == nil && horizon == 0 { // nothing has to be built
		err = p.CatchUp(ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("projection %s: %w", d.Name, err)
	}
	return p, nil
}

// CatchUp brings the active generation to the horizon of the store as it is when CatchUp is called. Where none is built yet,
// it builds the first. The error is a [*StoppedError] where an event cannot be taken.
//
// Calls that come while one is at work share the next one: many may wait for the same events at the price of one.
func (p *Projection) CatchUp(ctx context.Context) error {
	before := p.begun.Load()
	select {
	case p.turn <- struct{}{}:
		defer func() { <-p.turn }()
	case <-ctx.Done():
		return fmt.Errorf("projection %s: wait for those who catch up: %w", p.definition.Name, ctx.Err())
	}
	if p.last.run > before { // it began after this call
		return p.last.err
	}
	run := p.begun.Add(1)
	err := p.catchUp(ctx)
	if ctx.Err() == nil || err == nil { // what a caller has no time for, the next one does
		p.last = outcome{run: run, err: err}
	}
	return err
}

// catchUp is [Projection.CatchUp] of one at a time.
func (p *Projection) catchUp(ctx context.Context) error {
	horizon, err := p.store.Horizon(ctx)
	if err != nil {
		return fmt.Errorf("projection %s: %w", p.definition.Name, err)
	}
	for {
		g, err := p.begin(ctx, unlessThereIsOne)
		if err != nil {
			return err
		}
		if g.built && g.position >= horizon {
			return p.seen(ctx, g)
		}
		if err := p.step(ctx, g, horizon); err != nil {
			return err
		}
	}
}

// defaultSlice is how long the chore works until it is called again.
const defaultSlice = 5 * time.Second

// Chore returns the work of following the projection: it catches up, goes on with a rebuild, whoever began it, and drops
// what is out of use. Its name is that of the definition.
func (p *Projection) Chore() function.Chore {
	return function.Chore{
		Name: p.definition.Name, Every: p.options.Every, Wake: p.wake,
		Run: func(ctx context.Context, _ function.Publish) error { return p.follow(ctx) },
	}
}

// follow is a run of the chore.
func (p *Projection) follow(ctx context.Context) error {
	var t turns
	for until := time.Now().Add(p.slice); ; {
		stopped := t.catchUp(ctx, p)
		if stopped != nil && !is[*StoppedError](stopped) {
			return stopped
		}
		building, err := p.build(ctx)
		if err != nil {
			return join(stopped, err)
		}
		if !building {
			return join(stopped, p.sweep(ctx))
		}
		if time.Now().After(until) {
			p.wakeUp()
			return stopped
		}
	}
}

// turns shares the time between following the active generation and building another one: each has as long as the other took, so that
// the one that is built catches up also while many events arrive.
type turns struct {
	// next is when to follow again, last what became of it.
	next time.Time
	last error
}

// longestTurn is how long the active generation is left alone at most, but for a batch.
const longestTurn = 500 * time.Millisecond

func (t *turns) catchUp(ctx context.Context, p *Projection) error {
	if began := time.Now(); !began.Before(t.next) {
		t.last = p.CatchUp(ctx)
		t.next = time.Now().Add(min(time.Since(began), longestTurn))
	}
	return t.last
}

// wakeUp has the chore run again.
func (p *Projection) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default: // it will
	}
}
