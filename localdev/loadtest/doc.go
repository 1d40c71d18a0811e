// Package loadtest is the load test of the tutorial: it publishes orders in the JSON envelope, batch by batch, and then
// waits until a notification was requested for each of them. What it measures is the way of an order from the moment
// before it is sent to the moment in which the event that a function answered with can be read.
//
// It imports localdev/records, cloudevents/{order,notification}, localdev/text and runtime/kafkaclient.
package loadtest
