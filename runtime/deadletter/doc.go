// Package deadletter is the record that keeps what could not be handled: the original as it was, and why.
//
// A dead letter has the original's key and value, and its headers byte for byte and in their order. Behind them stand
// headers of our own, the first of which is [HeaderTopic]:
//
//	dlq-original-topic, dlq-original-partition, dlq-original-offset, dlq-original-timestamp
//	dlq-failure-reason, dlq-error-class, dlq-retry-count
//	dlq-first-failure-timestamp, dlq-last-failure-timestamp
//	dlq-service-name, dlq-service-version, dlq-consumer-group
//	dlq-replay-count, dlq-stack-trace, traceparent
//
// Whoever may write to a topic may write headers of these names. They stay where they are, as part of the original:
// [Parse] takes the last dlq-original-topic for the border, and that one is ours.
//
// Numbers are decimal, times RFC 3339 in UTC. A time that is not known, an empty stack and an unknown trace have no
// header.
//
// The package imports cloudevents/kafkabinding, runtime/pipeline and a JSON library; it knows no Kafka client.
package deadletter
