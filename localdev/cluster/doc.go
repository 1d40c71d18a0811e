// Package cluster is how local development reaches Kafka, embedded or real: a client whose errors a person can act on,
// and the few questions that the command asks about topics.
//
// It speaks through franz-go, never through sarama, so that what a developer sees does not depend on the client that the
// runtime uses. It imports infra and nothing else of millrace.
package cluster
