// Package outbox publishes events if and only if the change that they tell of is stored: whoever changes rows puts the events
// into the same transaction, and a relay publishes what is committed.
//
//	err := db.Transact(ctx, func(tx *sql.Tx) error {
//		if _, err := tx.ExecContext(ctx, "UPDATE orders SET status = 'paid' WHERE id = $1", id); err != nil {
//			return err
//		}
//		return box.Put(ctx, tx, order.Topic, paid)
//	})
//	box.Wake()
//
// [Outbox.Chore] is the relay as the runtime runs it. Every process that puts events should run it. The outbox needs neither an
// event store nor the rest of the runtime: [Outbox.Put] takes a transaction of database/sql, [Outbox.Statement] is for those of
// other clients, and [Outbox.Relay] takes whatever publishes.
//
// # What is promised
//
// Each event is published at least once, as it was put: the same id, time and bytes. Readers who must not handle one twice tell
// by source and id.
//
// Events of a topic with the same key, which is their partitionkey attribute, are published in the order in which their
// transactions committed, and within a transaction in the order in which they were put. An event is handed to the broker only
// when the one before it was acknowledged. So each is seen for the first time in its order, and what is seen again (a
// relay was killed before it took note) begins anew somewhere before and goes on in order. Events without a key, and of other
// keys, have no order among them.
//
// # Order
//
// A position that a sequence gives is no order of commits: of two transactions with the same key the one that got the lower
// position may commit last, and a reader that passed the higher one never looks back. Therefore Put locks each key until its
// transaction ends, before it takes a position (PostgreSQL: pg_advisory_xact_lock; in SQLite one transaction writes at a
// time): positions of a key are in the order of commits. Positions of different keys are not, so a relay keeps no position: it
// reads what waits from the beginning, and removes what it published.
//
// # Several relays
//
// Topic and key decide to which of 8 shards an event belongs, and a relay publishes only what is in shards that it has leased. A
// lease is a row with the owner's token and an end by the clock of the database. The relay renews it while it works and gives it
// back at the end of each run; those of a relay that died are free when they end, 15 seconds later at most. Right before
// events are handed to the broker the relay looks at its own clock: one that was paused for longer than its lease publishes
// nothing more of what it read. What it had handed over before may come late, beside what its successor publishes: once
// more, that is.
//
// Rows are not claimed one by one (FOR UPDATE SKIP LOCKED), which would give the second event of a key to a relay while the first
// is still with another. Shards are: one whose row is locked by a process that hangs keeps nobody from the others.
//
// A relay that finds a shard leased leaves what is in it to the one that has it, which therefore looks once more after it gave
// its shards back.
//
// A relay reads a page of each shard at a time, and behind a page that a few keys have for themselves some events of others: a
// key with many events delays the others of its shard by seconds at most while fewer than 200,000 wait there.
//
// # Failures
//
// Where the broker cannot be reached, nothing is published until it can, and no event is to blame. An event that fails on its own,
// because it is too large or its topic is missing, stops its key and nothing else. It is tried again after a pause that grows from
// a second to a minute, and never passed by: the log and [Stats] name it, until what was wrong is mended, or somebody deletes
// its row from the table millrace_outbox.
//
// The package imports runtime/database, runtime/function and runtime/internal/eventrow.
package outbox
