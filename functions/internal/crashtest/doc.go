// Package crashtest kills the whole shop at random moments, again and again, while customers order, pay and cancel, and
// then compares what everybody knows: the event store, the lists of the API, Kafka, the stock, and the books of the provider of payments.
//
// It has nothing but tests. They run as a part of all tests, with the embedded Kafka and SQLite; make crash runs them with
// Apache Kafka, PostgreSQL and more orders.
package crashtest
