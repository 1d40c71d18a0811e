// Package projection keeps tables that follow from the events of a store: what lists and searches read (CQRS). A
// [Definition] says which tables, and what an event makes of their rows. A [Projection] brings them up to date, a [Reader]
// answers queries from them.
//
//	view, err := projection.New(ctx, db, store, definition, nil)
//	err = view.CatchUp(ctx)                 // now, or
//	chores := []function.Chore{view.Chore()} // all the time
//
// # Nothing is skipped, nothing is counted twice
//
// A projection reads all events of the store in the order of their positions, and none beyond the store's horizon, so that one
// whose transaction commits late is not passed by. The rows and the position that they stand for are committed in one
// transaction, which first locks the position and compares it with the one that it read from. So a projection may be killed at
// any moment, and any number of processes may follow it at once: of two that read the same events one finds that they are
// applied, and goes on behind them.
//
// An event that [Definition.Apply] returns an error for, or that the store cannot decode, stops the projection before that
// event: see [StoppedError]. It is tried again whenever the projection is followed, so correcting the code is all that has
// to be done. Other projections go on.
//
// # Generations
//
// The tables carry a number, that of their generation: {orders} in a statement is orders_7. To rebuild a projection is to
// begin a generation beside the active one, with tables of its own, and to lead all events through it. Whoever follows the
// projection brings both up to date in turns; queries read the active one. When the new one has caught up, at a moment when
// it knows no less than the active one, it takes its place, in one transaction: a query sees the one or the other, and never
// goes back in time. The old tables are dropped after a grace, when running queries are over.
//
//	building ──▶ active ──▶ retired ──▶ dropped
//	   │  caught up     another one      a grace after it was
//	   ▼                is active        retired and last followed
//	thrown away, if a rebuild is to begin anew
//
// A rebuild that was interrupted needs nobody to clean up: whoever follows the projection goes on with it.
//
// # Schema
//
// Code that wants other tables, or other rows in them, has a higher [Definition.Schema]. Where it starts it finds no generation
// of its schema, and begins one beside that of the old code. While both run, as in a rolling deployment, each follows its own.
// The old generation is dropped a grace after the last old process followed it: processes that only read should be replaced by
// then. Where the new ones start to read before it is built, [Definition.ReadsSince] says whether they can use the old one.
//
// The package imports runtime/database, runtime/eventstore and runtime/function.
package projection
