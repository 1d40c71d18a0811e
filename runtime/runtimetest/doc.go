// Package runtimetest gives tests a Kafka and an independent view of it.
//
//	broker := runtimetest.Kafka(t, nil)
//	orders := broker.NewTopic(t, 3)
//	broker.Produce(t, orders, &kgo.Record{Key: []byte("order-1"), Value: value})
//	… start what is under test with broker.Addrs …
//	got := broker.Records(t, notifications, 1)
//
// [Kafka] starts an embedded broker for one test, or uses the cluster that the variable MILLRACE_TEST_KAFKA names, so
// that a test states what it needs once and runs against both. On a shared cluster a test keeps out of the others' way:
// topics come from [Broker.NewTopic], groups and transactional ids from [UniqueName].
//
// What is read and written here goes through franz-go, a client that no part of the runtime uses: a mistake in the way
// the runtime talks to Kafka does not hide itself in its own tests.
//
// Every helper fails the test when the broker does not answer within [Patience]. The package imports kfake and franz-go
// and nothing of the runtime; only tests and localdev may import it.
package runtimetest
