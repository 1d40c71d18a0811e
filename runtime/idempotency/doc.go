// Package idempotency remembers which events a function has handled, so that an event that is delivered again is not
// handled again.
//
// [Once] and [OnceInTransaction] implement pipeline.Once on a [Store]: [Memory], [SQL] (SQLite, PostgreSQL) or [Redis]. An
// event is known by its function, source and id ([Key]). Its entry goes through three states:
//
//		(none) ──claim──▶ claimed ──complete──▶ completed ──published──▶ published ──retention──▶ (none)
//		                     │                  the events that the handler returned are kept
//		                     └──release, or the end of the lease──▶ free, with its attempts counted ──claim──▶ claimed
//
//	  - A failure releases the claim: the next attempt claims anew. So does a permanent failure and a drop: only success is
//	    remembered, and how often the event was tried without it.
//	  - Who finds an event claimed by somebody else waits; no attempt is spent. The wait is over when the other one is done,
//	    or dead and its lease at an end. A lease lasts as long as the function's time-out and [Margin], so it does not run
//	    out while its owner is well. One that was paused finds its claim lost when it completes ([ErrLost]), and nothing of
//	    its attempt is published.
//	  - Who finds an event completed publishes the kept events, same ids and all, without calling the handler: a process died
//	    before it could.
//	  - Who finds an event published is done. An event whose handler returned nothing goes straight to published.
//
// # Attempts
//
// A claim is an attempt. The next one, in whichever process, is told how many failed before and when the first did, and how
// many crashed, which is to say that their lease ended; so a record's attempts stay bounded where its door forgets them, as
// between two invocations of a Lambda function. Where the door counts, too, the larger number holds. Not counted is an
// attempt that found something unavailable, that was given up because its process had to leave or its invocation to end, or
// that did no more than publish what is kept.
//
// The count belongs to the event: deliveries of one event share it. It ends with success, with a drop, with the dead letter,
// or after the retention: a replay of the dead letter has all of its attempts again, and so has a duplicate that comes
// after it. A dead letter that was not acknowledged ends nothing: the record is buried without a call when it comes
// again. An event that never failed but whose attempts all crashed is called once more than its limit allows, for the crash
// may be another's fault; so a crash loop ends.
//
// # What is promised
//
// The handler's success is remembered right after it returned. A process that dies between the two leaves a claim and its
// effects behind, and the handler is called again. Effects in the same SQL database can be tied to the claim: with
// [OnceInTransaction] the claim, the handler's own statements (function.Transaction) and the outcome are one transaction,
// committed before anything is published; a claim of a few seconds comes before it, to count the attempt. Then each effect
// is there exactly once. Effects elsewhere, a mail for instance, need a key of idempotency of their own: the event's source
// and id.
//
// Where events are published in a Kafka transaction (exactly once), nothing is noted as published: the transaction may
// still be aborted. A record that is delivered twice is handled once, and its events are published for each.
//
// What is remembered lasts as long as the store does. Memory survives nothing. SQLite writes with synchronous=FULL.
// PostgreSQL and Redis are as durable as their operator made them: a Redis without appendfsync always, or one that fails
// over to a replica that lags, may forget the last moments; one that evicts keys (maxmemory-policy other than noeviction)
// may forget anything. An event that was forgotten is handled again.
//
// Times are those of the server (PostgreSQL, Redis) or of the one machine (SQLite, memory): clocks that differ between
// processes do not matter.
//
// It imports runtime/function, runtime/pipeline, runtime/config, runtime/database, cloudevents/kafkabinding and the clients of the stores.
package idempotency
