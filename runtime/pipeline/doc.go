// Package pipeline takes a record through its function: decode, middleware, handler, emit, verdict, dead letter. Each door
// turns what it received into a Record and hands it over; what is retried, dead-lettered or emitted is decided here, once,
// for every door.
//
// It imports cloudevents/* and runtime/function; no vendor's client.
package pipeline
