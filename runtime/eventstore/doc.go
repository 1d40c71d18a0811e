// Package eventstore keeps events: CloudEvents in streams, one stream for each aggregate, in SQLite or PostgreSQL.
//
// [Store.Append] puts events at the end of streams, all of them or none. A writer says which version it expects a stream to
// have, so that of two who decided on the same state one gets a [*ConflictError] and decides anew. [Store.ReadStream] gives
// one stream back, [Store.ReadAll] every event of all streams in one order: what projections and relays follow.
//
// # An event is stored once
//
// An event is known by its source and id. An append that is repeated, because its answer was lost or its caller was killed,
// finds its events stored and succeeds with [Appended.Repeated], whatever version it expects. Events with the same identity
// and other content, in another stream or mixed with new ones are a [*DuplicateError]. Time and trace (time, traceparent,
// tracestate) are those of the attempt, not of the event, and are not compared: the first ones are kept.
//
// # Positions
//
// Each event has a position in the store. Positions rise in the order of each stream, and an event that was appended by
// somebody who had read another has the higher position. Some are never given: a reader must not wait for them.
//
// A reader keeps the last position that it handled and asks for what comes after. So nothing may ever appear before a
// position that was read. SQLite writes one transaction at a time, which settles it. In PostgreSQL a position is taken
// when an event is inserted and seen when its transaction commits, and these are two orders: whoever reads 7 while 6 is
// not committed, and goes on from 7, never sees 6. Therefore a transaction announces, before it takes its first
// position, the last position that was taken so far, by holding an advisory lock that encodes it (shared: nobody
// waits). A reader looks up the last position first, the announcements second and the events third, and reads no
// further than the lowest announcement. Whoever took a position up to the first number has announced before that, so it
// either is found, or has ended and is seen.
//
// A horizon by transaction ids (pg_snapshot_xmin) was the alternative. It would hold readers up behind any transaction of the
// server that is long, a backup's or a migration's, not just one that appends; and a transaction that got its id early
// and appended late would turn the events of a stream around.
//
// # Transactions of the caller
//
// What belongs to an append, as a projection's rows or those of an outbox, can be committed with it: [Store.Transact] runs a
// function in a transaction of the store, and [Store.In] appends in one that somebody else began in the same database, as
// the runtime does for handlers (function.Transaction).
//
// # Limits
//
// The constants of this package. What exceeds them is an [*InvalidError] before anything is written.
//
// The package imports runtime/database, runtime/function and runtime/internal/eventrow. Package
// eventstoretest is the suite that every store passes.
package eventstore
