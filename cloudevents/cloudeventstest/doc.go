// Package cloudeventstest has what tests all over the project need for events: builders, a comparison, a generator for
// properties, and the cases that a decoder of the CloudEvents Kafka binding has to pass, as a table.
//
// It imports testing, go-cmp, rapid, the SDK's event and types packages, cloudevents/kafkabinding and cloudevents/order.
// Only tests import it.
package cloudeventstest
