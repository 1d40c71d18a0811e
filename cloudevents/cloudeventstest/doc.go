// Package cloudeventstest has what tests all over the project need for events: builders, a comparison, and the cases that
// a decoder of the CloudEvents Kafka binding has to pass, as a table.
//
// It imports testing, go-cmp, the SDK's event package, cloudevents/kafkabinding and cloudevents/order. Only tests import
// it.
package cloudeventstest
