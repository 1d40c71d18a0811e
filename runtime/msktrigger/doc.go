// Package msktrigger is the door for AWS Lambda behind a Kafka trigger: an event source mapping of Amazon MSK or of
// self-managed Kafka. [Decode] reads the event, [Trigger.Invoke] runs its records through a [pipeline.Pipeline] and answers
// which of them are not finished.
//
// # What differs from a consumer group
//
// Lambda polls, commits and remembers. An invocation gets a batch and answers once:
//
//	{"batchItemFailures":[{"itemIdentifier":{"partition":"order-events-0","offset":42}}]}
//
// The answer lists every record that is not finished, and none that is. The mapping must ask for it with
// ReportBatchItemFailures. Partitions run at the same time, and keys within them; the records of a key are handled in order,
// one at a time, and what follows a record that was handed back is handed back with it.
//
//   - A commit holds an offset and nothing else, so nothing is known of the past: attempts count from one in each
//     invocation, unless an idempotency store keeps their number, and a record that was finished may come again.
//   - Attempts are made within the invocation while its deadline allows. What would have to wait for longer is handed back at
//     once, for idling is billed. A wait that a handler asked for by function.RetryAfter does not outlast its invocation.
//   - A record that is handed back comes again when the mapping sends it again: that is the mapping's back-off. Its
//     MaximumRetryAttempts counts each time, also while a dependency is down; leave it unlimited, or name a destination.
//   - A handler that pays no heed to its context is left behind when the time is over. Its record is handed back and comes again,
//     although the first call may still have effects when the process is thawed. Its events are not published and its outcome
//     counts for nothing.
//
// # What the decoder makes of odd events
//
// The batch is refused, with a [*DecodeError] that says where, when it cannot be understood: it is larger than 8 MiB, is not
// JSON, nests deeper than 64, is of another trigger, or a record does not say which one it is (topic, partition and offset,
// once each, in agreement with the name of its list). Lambda then sends the whole batch again.
//
// A record whose place is known but whose key, value, headers or timestamp cannot be read is poison, alone: no base64, a byte
// beyond −128…255, a header that is no list of numbers. It becomes a dead letter that names its place, [Record.Err] says why.
//
// Everything else is taken:
//
//   - Partition, offset and timestamp may be numbers or strings of digits. A negative timestamp is none, as in Kafka.
//   - A key, value or header value that is null or absent is nil; one that is empty is empty.
//   - A byte of a header is signed or unsigned. An object among the headers may hold several, or none.
//   - A list of records may be null. Lists of the same name are joined.
//   - An offset that stands twice in a partition is handled twice: the event says of neither that it is not to be. It is
//     reported once.
//   - Header names keep their bytes, also those that are no UTF-8. A lone surrogate that is written as an escape is U+FFFD.
//   - Other members are passed over: timestampType, and keySchemaMetadata and valueSchemaMetadata, for a schema registry's
//     work is done when the event is made.
//
// The package imports runtime/pipeline, runtime/lanes, runtime/function and cloudevents/kafkabinding, and no SDK of AWS:
// [Trigger] is a lambda.Handler by its shape.
package msktrigger
