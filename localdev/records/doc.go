// Package records writes records to topics and reads them again, for the commands of local development: a Reader that
// starts anywhere and knows when it has seen what was there, and a Writer that waits for every in-sync replica. A broker
// that goes away ends both within seconds.
//
// It imports localdev/cluster, cloudevents/kafkabinding, runtime/pipeline for its Record, runtime/kafkaclient and franz-go.
package records
