package projection

import (
	"context"
	"fmt"
	"time"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
)

// State is what a generation is for.
type State string

// The states of a generation.
const (
	// Building: it is being built beside the active one, or is the first. No query reads it.
	Building State = "building"
	// Active: queries read it.
	Active State = "active"
	// Retired: another one took its place. It is dropped when its grace is over.
	Retired State = "retired"
)

// Position is where a generation of a projection is.
type Position struct {
	Projection string
	Schema     int
	Generation int64
	State      State
	// Position is that of the last event it knows, Horizon the last one that it could know.
	Position, Horizon int64
	// Lag is how many positions it is behind, at most: some are never taken. 0: it knows all.
	Lag int64
	// Age is how long ago the first event was stored that it does not know. 0: it knows all.
	Age time.Duration
	// Unseen is how long ago somebody last brought it up to date, or found it so, give or take a quarter of the grace.
	Unseen time.Duration
	// Stopped is the event that it cannot take. nil: it goes on.
	Stopped *Stop
}

// Positions tells where the generations of the projection are, those of other schemas included, the oldest first.
func (p *Projection) Positions(ctx context.Context) ([]Position, error) {
	return positions(ctx, p.db, p.store, "WHERE name = $1 ORDER BY generation", p.definition.Name)
}

// List tells where the generations of all projections of a database are, by name, those of a projection with the oldest
// first. store is that of the database.
func List(ctx context.Context, db *database.DB, store *eventstore.Store) ([]Position, error) {
	return positions(ctx, db, store, "ORDER BY name, generation")
}

// Exist tells whether db has projections, without creating anything.
func Exist(ctx context.Context, db *database.DB) (bool, error) {
	query := "SELECT EXISTS (SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'millrace_projections')"
	if db.Kind() == database.Postgres {
		query = "SELECT to_regclass('millrace_projections') IS NOT NULL"
	}
	var exist bool
	if err := db.Read().QueryRowContext(ctx, query).Scan(&exist); err != nil {
		return false, fmt.Errorf("look for the table millrace_projections: %w", err)
	}
	return exist, nil
}

func positions(ctx context.Context, db *database.DB, store *eventstore.Store, rest string, args ...any) ([]Position, error) {
	generations, err := selected(ctx, db.Read(), db.Kind(), rest, args...)
	if err != nil {
		return nil, fmt.Errorf("look up the positions of projections: %w", err)
	}
	all := make([]Position, 0, len(generations))
	for _, g := range generations {
		one, err := g.where(ctx, store)
		if err != nil {
			return nil, fmt.Errorf("projection %s: %w", g.name, err)
		}
		all = append(all, one)
	}
	return all, nil
}

// where tells where g is.
func (g generation) where(ctx context.Context, store *eventstore.Store) (Position, error) {
	at := Position{
		Projection: g.name, Schema: g.schema, Generation: g.number, State: g.state(),
		Position: g.position, Unseen: max(g.unseen, 0), Stopped: g.stopped,
	}
	horizon, err := store.Horizon(ctx)
	if err != nil {
		return at, err
	}
	at.Horizon = max(horizon, g.position)
	next, err := store.ReadAll(ctx, g.position, 1)
	if is[*eventstore.UnreadableError](err) {
		at.Lag = at.Horizon - g.position
		return at, nil
	}
	if err != nil {
		return at, err
	}
	if len(next) > 0 && next[0].Position <= at.Horizon {
		at.Lag, at.Age = at.Horizon-g.position, max(time.Since(next[0].RecordedAt), time.Microsecond)
	}
	return at, nil
}

func (g generation) state() State {
	switch {
	case !g.built:
		return Building
	case g.retired:
		return Retired
	}
	return Active
}
