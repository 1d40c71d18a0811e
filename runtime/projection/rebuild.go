package projection

import (
	"context"
	"errors"
	"fmt"
)

// RebuildOptions are the options of a rebuild. nil is the default.
type RebuildOptions struct {
	// Anew throws away what an interrupted rebuild has built. Default: it goes on.
	Anew bool
	// Progress is called after each batch, by the goroutine that rebuilds. Default: nobody is told.
	Progress func(Progress)
}

// Progress is how far a rebuild is.
type Progress struct {
	// Generation is the one that is being built.
	Generation int64
	// Position is what it knows, Horizon what it will have to know. Both are positions of the store.
	Position, Horizon int64
	// Done says that it is the active one.
	Done bool
}

// Rebuild builds a generation beside the active one and returns when it is the active one. Queries are answered meanwhile, and
// the active one is followed. Others who follow the projection help; when ctx ends, they go on with it. o may be nil.
//
// The error is a [*StoppedError] where the new generation cannot take an event. Then the active one stays.
func (p *Projection) Rebuild(ctx context.Context, o *RebuildOptions) error {
	if o == nil {
		o = &RebuildOptions{}
	}
	if o.Anew {
		if err := p.discard(ctx); err != nil {
			return err
		}
	}
	begun, err := p.begin(ctx, besideTheActive)
	if err != nil {
		return err
	}
	for t := (turns{}); ; {
		active, building, err := p.current(ctx, p.db.Read())
		if err != nil {
			return err
		}
		done := active != nil && active.number >= begun.number
		if !done && (building == nil || building.number != begun.number) {
			return fmt.Errorf("rebuild projection %s: generation %d was thrown away meanwhile", p.definition.Name, begun.number)
		}
		if err := p.report(ctx, o, begun.number, active, building); err != nil || done {
			return err
		}
		if active != nil { // where it is stopped, the rebuild may be the cure
			if err := t.catchUp(ctx, p); err != nil && !is[*StoppedError](err) {
				return err
			}
		}
		if _, err := p.build(ctx); err != nil {
			return err
		}
	}
}

// report tells how far the generation that was begun is.
func (p *Projection) report(ctx context.Context, o *RebuildOptions, begun int64, active, building *generation) error {
	if o.Progress == nil {
		return nil
	}
	horizon, err := p.store.Horizon(ctx)
	if err != nil {
		return fmt.Errorf("projection %s: %w", p.definition.Name, err)
	}
	progress := Progress{Generation: begun, Horizon: horizon}
	if building != nil && building.number == begun {
		progress.Position = building.position
	} else {
		progress.Position, progress.Done = active.position, true
	}
	progress.Horizon = max(progress.Horizon, progress.Position)
	o.Progress(progress)
	return nil
}

// build applies one batch to the generation that is being built beside the active one, and tells whether there is one.
func (p *Projection) build(ctx context.Context) (building bool, err error) {
	_, g, err := p.current(ctx, p.db.Read())
	if err != nil || g == nil {
		return false, err
	}
	horizon, err := p.store.Horizon(ctx)
	if err != nil {
		return false, fmt.Errorf("projection %s: %w", p.definition.Name, err)
	}
	return true, p.step(ctx, *g, horizon)
}

// join is errors.Join, but for one error alone, which stays what it is.
func join(a, b error) error {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return errors.Join(a, b)
}
