package conformance

import (
	"context"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/function"
)

// kept: bytes reach the dead letter topic unchanged (law 11).
var kept = []testCase{
	{"null against empty key and value, header bytes 0–255, repeated headers", nil, bytesAreKept},
}

func bytesAreKept(t *testing.T, d Door) {
	s := newStage(t, d, 1)
	s.act(func(context.Context, Call) error { return function.Permanent(errFails) })
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	strange := []kgo.RecordHeader{
		{Key: "twice", Value: []byte("1")}, {Key: "twice", Value: []byte("2")}, {Key: "TWICE", Value: nil}, {Key: "twice", Value: []byte{}},
		{Key: "", Value: all},
		{Key: "dlq-original-topic", Value: []byte("payments")}, {Key: "dlq-replay-count", Value: []byte("0")},
	}
	if d.can(Names) {
		strange = append(strange, kgo.RecordHeader{Key: string(all), Value: []byte("any bytes in the name")})
	}
	var sent []*kgo.Record
	for i, parts := range []struct{ key, value []byte }{
		{nil, nil}, {[]byte{}, []byte{}}, {nil, []byte{}}, {[]byte{}, nil}, {all, all},
	} {
		decodable := &kgo.Record{Key: parts.key, Value: parts.value, Headers: append(attributes(eventID("a", i), "", inType), strange...)}
		poison := &kgo.Record{Key: parts.key, Value: parts.value, Headers: strange}
		sent = append(sent, decodable, poison)
	}
	s.sendTo(t, s.in, 0, sent...)
	s.start(t)
	s.awaitEnds(t, s.in)
	letters := s.Records(t, s.letters, len(sent))
	if len(letters) != len(sent) {
		t.Errorf("%d dead letters of %d records", len(letters), len(sent))
	}
	for _, letter := range letters {
		checkOriginal(t, letter, sent[offsetOf(t, letter)])
	}
}
