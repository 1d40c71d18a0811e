package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
)

const (
	// keys is how many aggregates the events are about.
	keys = 1000
	// burst is how many events of a key follow each other. A perfectly even round robin of keys would hide that a peer
	// mixes the events of a key up.
	burst = 5
	// eventType is one that cloudevents/schemas does not know: nobody validates the data.
	eventType = "dev.millrace.bench.placed.v1"
)

// place tells which event of which key the n-th event is, each counted from 0.
func place(n int) (key, sequence int) {
	return n / burst % keys, n/(burst*keys)*burst + n%burst
}

// newEvent returns the n-th event: nine headers in binary mode, about 140 bytes of data. Its id holds its place.
func newEvent(n int) event.Event {
	key, sequence := place(n)
	aggregate := fmt.Sprintf("order-%05d", key)
	e := event.New()
	e.SetID(fmt.Sprintf("%08d-e29b-41d4-a716-%012d", key, sequence))
	e.SetSource("/order-service")
	e.SetType(eventType)
	e.SetSubject(aggregate)
	e.SetTime(time.Date(2026, 11, 23, 10, 0, 0, 123_000_000, time.UTC))
	e.SetExtension("correlationid", "req-789")
	e.SetExtension("partitionkey", aggregate)
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = fmt.Appendf(nil, `{"orderId":%q,"customerId":"customer-789","amount":99.99,"currency":"USD",`+
		`"items":[{"productId":"prod-456","quantity":2,"price":49.99}]}`, aggregate)
	return e
}

// placeOf reads the place out of an event's id. An id that is none of this program's has none.
func placeOf(id string) (key, sequence int, ok bool) {
	if len(id) != len("00000000-e29b-41d4-a716-000000000000") {
		return 0, 0, false
	}
	key, keyErr := strconv.Atoi(id[:8])
	sequence, err := strconv.Atoi(id[24:])
	return key, sequence, keyErr == nil && err == nil
}

// number returns which event it is that has this place.
func number(key, sequence int) int { return sequence/burst*burst*keys + key*burst + sequence%burst }
