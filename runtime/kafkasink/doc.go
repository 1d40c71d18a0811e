// Package kafkasink is the way out: events and records to Kafka, reported as published only when all in-sync replicas
// have them.
//
//	[Sink]       events of a function, and raw records such as dead letters
//	[Publisher]  events of a program outside a function; what cannot be published is dead-lettered
//	[Transactor] records and a group's offsets in Kafka transactions, for exactly once
//	[NewSender]  the CloudEvents SDK's client publishing through a Sink
//
// The producer is idempotent with one request in flight, so that records of a partition keep their order and stand there
// once, also when a request is repeated. A key goes to the partition that Java's clients choose (murmur2). Records
// without a key go to a random one. Topics are never created by publishing.
//
// A build with the tag lambda.norpc leaves [NewSender] out: a Lambda function returns its events, and the SDK's codec and log
// would make its program larger.
//
// It imports sarama, kafka_sarama for the SDK's key options, kafkaclient, cloudevents/kafkabinding, cloudevents/envelope
// and the words of runtime/function and runtime/pipeline.
package kafkasink
