// Package broker is the embedded Kafka of local development and tests: one process, no Docker, optionally kept on disk.
//
// It is the only package outside of tests that imports kfake. Every Kafka client speaks to it as to a real broker; what it
// lacks (quotas, replication, realistic times of transactions) is listed in kfake's own documents.
package broker
