package kafkasink

import "github.com/millrace/millrace/runtime/kafkaclient"

// RequireTopics returns nil when the cluster has each of the topics, or an error that names every one that is missing. A
// program that checks what it will publish to when it starts says so before the first event, not after.
func (s *Sink) RequireTopics(topics ...string) error {
	return kafkaclient.RequireTopics(s.health.client, s.brokers, topics...)
}
