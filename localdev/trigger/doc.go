// Package trigger is AWS Lambda's event source mapping for Kafka, emulated: [Run] polls a topic as a member of a consumer
// group, calls a function with events of AWS's shape, acts on its answer, and commits. Any Kafka and any function will do,
// so a laptop needs neither an account nor a container.
//
// # What is taken over from AWS
//
// A batch is full at BatchSize records or 6 MB of event, or when its window is over. It may mix partitions, oldest records
// first, but each partition is in one batch at a time: what comes after in that partition waits until every record of the
// batch is done, given up or put into smaller batches. So a backlog is worked off by as many invocations at a time as there
// are partitions, and a partition that fails holds back nobody else.
//
// One offset is committed per partition, and it never passes a record that is not resolved. After a restart or a rebalance,
// records come again that were done behind one that was not. A group without a commit gets one at its starting position.
//
// The controls that AWS has in provisioned mode only (partial responses, bisecting, attempts, age, kafka:// destinations)
// are ignored without a ProvisionedPollerConfig: the whole batch is tried again. Endless retries become ten where there is a
// destination, in both modes.
//
// # Where AWS's documentation is silent
//
//   - Isolation. AWS neither documents nor offers an isolation level. Transactions that were aborted are left out here, as
//     behind millrace's other doors; [Options.ReadUncommitted] shows what a function makes of them.
//   - Back-off is exponential with jitter, see [Options.Backoff]. Errors of the service, not of the function, wait as well
//     but count as no attempt.
//   - Splitting a batch counts as no attempt, as with Kinesis. A batch of one record cannot be split: its attempts count.
//     A partial response does not split: what it names is tried again together.
//   - A record that is too old is given up before it is sent, with the condition that Kinesis uses: RecordAgeExceeded.
//   - What the destination does not take is not given up: it is tried again, and its partition waits.
//   - A batch is tried again as long as Run runs, also when retention has deleted its records meanwhile.
//   - A committed offset that the log does not have is an error in the log of events; reading begins at the oldest record.
//   - A null value, like a null key, is an absent field; the value of a null header is null.
//
// It imports localdev/cluster, localdev/trigger/{template,filter,process,runtimeapi}, runtime/kafkaclient, runtime/pipeline for its
// back-off, and franz-go.
package trigger
