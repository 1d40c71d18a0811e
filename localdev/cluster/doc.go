// Package cluster is how local development reaches Kafka, embedded or real: a client whose errors a person can act on,
// and the few questions that the command asks about topics.
//
// It speaks through franz-go, so that what a developer sees does not depend on the client that the runtime uses. Of
// millrace it imports infra and runtime/kafkaclient.
package cluster
