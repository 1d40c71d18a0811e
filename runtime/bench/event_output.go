package main

import (
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

// outputType is the type of what is published for each event that is handled. cloudevents/schemas does not know it.
const outputType = "dev.millrace.bench.shipped.v1"

// newOutput returns what a handler publishes for e, as a function of millrace returns it: the runtime adds the rest.
func newOutput(e event.Event) event.Event {
	out := event.New()
	out.SetType(outputType)
	out.SetSubject(e.Subject())
	out.SetExtension("partitionkey", e.Subject())
	out.SetDataContentType(event.ApplicationJSON)
	out.DataEncoded = e.Data()
	return out
}

// completeOutput returns the same with all that the runtime of millrace adds, for peers that leave it to their handler.
func completeOutput(e event.Event) event.Event {
	out := newOutput(e)
	out.SetID("shipped-" + e.ID())
	out.SetSource("/bench")
	out.SetTime(time.Now().UTC())
	out.SetExtension("correlationid", e.Extensions()["correlationid"])
	out.SetExtension("causationid", e.ID())
	return out
}
