package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
)

// step applies the next page of events to g. horizon was read before: no event can appear at it or before it any more.
// Where another process was faster nothing is done, and no error.
func (p *Projection) step(ctx context.Context, g generation, horizon int64) error {
	page, err := p.store.ReadAll(ctx, g.position, p.options.Batch)
	if unreadable, ok := errors.AsType[*eventstore.UnreadableError](err); ok {
		stop := Stop{Stream: unreadable.Stream, Version: unreadable.Version, Position: unreadable.Position, Reason: cut(unreadable.Error(), maxReason)}
		return p.stop(ctx, g, stop, unreadable)
	}
	if err != nil {
		return fmt.Errorf("projection %s: %w", p.definition.Name, err)
	}
	held, err := p.commit(ctx, g, page, horizon, !g.built)
	if errors.Is(err, errNotOvertaken) {
		held, err = p.commit(ctx, g, page, horizon, false)
	}
	if failed, ok := errors.AsType[*applyError](err); ok && ctx.Err() == nil {
		r := page[failed.index]
		if failed.index == 0 {
			return p.stop(ctx, g, stopBefore(r, failed.err), failed.err)
		}
		held, err = p.commit(ctx, g, page[:failed.index], horizon, false) // the next page begins, and ends, with it
	}
	if err != nil && !errors.Is(err, errMoved) {
		return fmt.Errorf("projection %s, generation %d, events after position %d: %w", p.definition.Name, g.number, g.position, err)
	}
	if isLast(page, horizon) {
		return nil
	}
	return p.rest(ctx, held)
}

// isLast tells whether a page has all up to horizon.
func isLast(page []eventstore.Recorded, horizon int64) bool {
	return len(page) == 0 || page[len(page)-1].Position >= horizon
}

// rest gives others a turn as long as the one that was taken. Only SQLite needs it: writers of other processes do not queue.
func (p *Projection) rest(ctx context.Context, took time.Duration) error {
	if p.db.Kind() != database.SQLite {
		return nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(took):
		return nil
	}
}

// commit is [Projection.advance] in a transaction, and tells how long that kept others waiting.
func (p *Projection) commit(ctx context.Context, g generation, page []eventstore.Recorded, horizon int64, promote bool) (held time.Duration, err error) {
	var began time.Time
	err = p.db.Transact(ctx, func(tx *sql.Tx) error {
		began = time.Now()
		return p.advance(ctx, tx, g, page, horizon, promote)
	})
	if began.IsZero() {
		return 0, err
	}
	return time.Since(began), err
}

// advance applies a page, or as much of it as there is time for, and moves the position. An empty page says that there is
// nothing up to horizon. It returns errMoved where g is not what it was.
//
// With promote a generation that knows all up to horizon becomes the active one, if it knows no less than those that are
// built. These are locked, so that it can overtake them.
func (p *Projection) advance(ctx context.Context, tx *sql.Tx, g generation, page []eventstore.Recorded, horizon int64, promote bool) error {
	promote = promote && isLast(page, horizon)
	others, err := p.lock(ctx, tx, g, promote)
	if err != nil {
		return err
	}
	position, err := p.apply(ctx, tx, g, page)
	if err != nil {
		return err
	}
	if len(page) == 0 {
		position = max(position, horizon)
	}
	if promote && position >= horizon {
		position, err = p.overtake(ctx, tx, g, position, furthest(others))
	}
	if err != nil {
		return err
	}
	const move = "UPDATE millrace_projections SET position = $2, followed = {now}, stopped = NULL WHERE generation = $1"
	if _, err := tx.ExecContext(ctx, p.sql(move), g.number, position); err != nil {
		return err
	}
	if !promote || position < max(horizon, furthest(others)) {
		return nil
	}
	return p.promote(ctx, tx, g)
}

// errNotOvertaken: there is an event in the way, which has to be met as the first of a page.
var errNotOvertaken = errors.New("an event is in the way")

// overtake applies what was applied to others up to target while g's page was read, as much as there is time for. The others are
// locked: so g comes up with them, however fast they are followed. It reads by another connection than that of tx; where there is
// none, g comes up with them when less arrives.
func (p *Projection) overtake(ctx context.Context, tx *sql.Tx, g generation, position, target int64) (int64, error) {
	for until := time.Now().Add(p.options.BatchTime); position < target && time.Now().Before(until); {
		if p.db.Read().Stats().MaxOpenConnections == 1 {
			return position, nil
		}
		page, err := p.store.ReadAll(ctx, position, p.options.Batch)
		if err == nil && len(page) == 0 {
			return target, nil
		}
		if err == nil {
			g.position = position
			position, err = p.apply(ctx, tx, g, page)
		}
		switch {
		case err == nil:
		case is[*eventstore.UnreadableError](err), is[*applyError](err):
			return position, errNotOvertaken
		default:
			return position, err
		}
	}
	return position, nil
}

// lock locks g and compares it with what was read, and locks those that are built as well, if asked to, and returns them.
func (p *Projection) lock(ctx context.Context, tx *sql.Tx, g generation, all bool) (others []generation, err error) {
	const rows = "WHERE generation = $1 OR ($2 AND name = $3 AND built IS NOT NULL) ORDER BY generation {lock}"
	locked, err := selected(ctx, tx, p.db.Kind(), rows, g.number, all, p.definition.Name)
	if err != nil {
		return nil, err
	}
	err = errMoved
	for _, row := range locked {
		switch {
		case row.number != g.number:
			others = append(others, row)
		case row.position == g.position && row.built == g.built:
			err = nil
		}
	}
	return others, err
}

func furthest(generations []generation) (position int64) {
	for _, g := range generations {
		position = max(position, g.position)
	}
	return position
}

// apply applies a page, or as much of it as there is time for, and returns the position it came to.
func (p *Projection) apply(ctx context.Context, tx *sql.Tx, g generation, page []eventstore.Recorded) (position int64, err error) {
	position = g.position
	tables := p.tables(g)
	until := time.Now().Add(p.options.BatchTime)
	for i, r := range page {
		if err := p.definition.Apply(ctx, tx, tables, r); err != nil {
			return position, failure(i, err)
		}
		position = r.Position
		if time.Now().After(until) {
			break
		}
	}
	return position, nil
}

// failure says which event of a page err is about, unless only the transaction has to be tried again.
func failure(index int, err error) error {
	if database.IsTransient(err) {
		return err
	}
	return &applyError{index: index, err: err}
}

// promote makes g the active generation.
func (p *Projection) promote(ctx context.Context, tx *sql.Tx, g generation) error {
	for _, statement := range []string{
		// Those of this schema and older ones retire, and so does g where there is a newer one.
		`UPDATE millrace_projections SET retired = {now} WHERE name = $2 AND schema <= $3 AND generation <> $1 AND built IS NOT NULL AND retired IS NULL`,
		`UPDATE millrace_projections SET built = {now}, retired = CASE WHEN EXISTS (
			SELECT 1 FROM millrace_projections AS newer WHERE newer.name = $2 AND newer.schema > $3 AND newer.built IS NOT NULL
		) THEN {now} END WHERE generation = $1`,
	} {
		if _, err := tx.ExecContext(ctx, p.sql(statement), g.number, p.definition.Name, p.definition.Schema); err != nil {
			return err
		}
	}
	return nil
}

// stop notes that g cannot take an event, and returns the error that says so.
func (p *Projection) stop(ctx context.Context, g generation, s Stop, cause error) error {
	stopped := &StoppedError{Projection: p.definition.Name, Schema: p.definition.Schema, Generation: g.number, Stop: s, Err: cause}
	stopped.Since = time.Now().UTC().Truncate(time.Microsecond)
	if known := g.stopped; known != nil && known.Position == s.Position {
		stopped.Since = known.Since
		if known.Reason == s.Reason {
			return stopped
		}
	}
	note, err := json.Marshal(stopped.Stop)
	if err == nil {
		const update = "UPDATE millrace_projections SET stopped = $3 WHERE generation = $1 AND position = $2"
		err = p.db.Transact(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, update, g.number, g.position, string(note))
			return err
		})
	}
	if err != nil {
		return errors.Join(stopped, fmt.Errorf("note that projection %s stopped: %w", p.definition.Name, err))
	}
	return stopped
}

// seen notes that somebody follows g, several times in the grace after which it might be dropped.
func (p *Projection) seen(ctx context.Context, g generation) error {
	if g.unseen < p.options.Grace/4 {
		return nil
	}
	err := p.db.Transact(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, p.sql("UPDATE millrace_projections SET followed = {now} WHERE generation = $1"), g.number)
		return err
	})
	if err != nil {
		return fmt.Errorf("note that projection %s is followed: %w", p.definition.Name, err)
	}
	return nil
}

// is tells whether err is, or wraps, an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
