package foreign_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// garbage is a record that no function can handle.
type garbage struct {
	name  string
	value []byte
	flags []string // kcat's
	class string   // of the dead letter
}

// trace is where the flow that the record belongs to began, if it says so.
func (g garbage) trace() string {
	if slices.Contains(g.flags, "ce_traceparent="+trace) {
		return trace
	}
	return ""
}

func everyByte() []byte {
	var all []byte
	for b := range 256 {
		all = append(all, byte(b))
	}
	return all
}

const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

var heap = []garbage{
	{"every byte", everyByte(), nil, "undecodable"},
	{"empty value", nil, nil, "undecodable"},
	{"null value", nil, []string{"-Z"}, "undecodable"},
	{"half a CloudEvent", []byte("{}"), []string{"-H", "ce_specversion=1.0", "-H", "ce_type=dev.millrace.order.created.v1"}, "undecodable"},
	{"unknown specversion", []byte("{}"), []string{
		"-H", "ce_specversion=9.9", "-H", "ce_id=1", "-H", "ce_source=/x", "-H", "ce_type=dev.millrace.order.created.v1",
	}, "undecodable"},
	{"schema violation", []byte(`{"orderId":7}`), []string{
		"-H", "ce_specversion=1.0", "-H", "ce_id=bad", "-H", "ce_source=/x", "-H", "ce_type=dev.millrace.order.created.v1",
		"-H", "ce_traceparent=" + trace,
	}, "schema"},
	{"half an envelope", []byte(`{"eventId":"e","eventType":"OrderCreated","data":{"orderId":`), nil, "undecodable"},
}

// TestGarbageBecomesDeadLetters sends records that cannot be handled to one partition, and then one that can.
func TestGarbageBecomesDeadLetters(t *testing.T) {
	t.Parallel()
	needs(t, "kcat")
	m := start(t, nil, nil)

	// A repeated, an empty and a null header have to come back as they are.
	kept := []string{"-H", "x-repeated=1", "-H", "x-repeated=2", "-H", "x-empty=", "-H", "x-null"}
	for _, g := range heap {
		m.send(t, "order-events", g.name, g.value, slices.Concat([]string{"-p", "0"}, g.flags, kept)...)
	}
	created := facts[0]
	m.send(t, "order-events", "good", []byte(created.data), "-p", "0", "-H", "ce_specversion=1.0",
		"-H", "ce_id=good", "-H", "ce_source=/"+created.source, "-H", "ce_type="+created.eventType, "-H", "ce_time=2026-11-23T08:00:00Z")

	if passed := m.awaitRequested(t, 1); passed[0].causation != "good" {
		t.Errorf("the notification is about event %q, want good", passed[0].causation)
	}
	// Each group that reads the topic has its own dead letters. Those of one are looked at.
	var letters []record
	eventually(t, "dead letters", func() bool {
		letters = m.read(t, "dead-letter-queue")
		return ofNotifications(letters) >= len(heap)
	})
	values := m.values(t, "dead-letter-queue")
	if n := ofNotifications(letters); n != len(heap) {
		t.Fatalf("%d dead letters of %d records", n, len(heap))
	}
	for i := range letters {
		if isOfNotifications(letters[i]) {
			offset := headerNumber(t, &letters[i], "dlq-original-offset")
			checkLetter(t, &letters[i], values[i], heap[offset])
		}
	}
}

func isOfNotifications(letter record) bool {
	return letter.header("dlq-consumer-group") == "notification-service-orders"
}

// ofNotifications counts the dead letters of the group that asks for notifications about orders.
func ofNotifications(letters []record) int {
	return len(slices.DeleteFunc(slices.Clone(letters), func(r record) bool { return !isOfNotifications(r) }))
}

func checkLetter(t *testing.T, letter *record, value []byte, g garbage) {
	t.Helper()
	if letter.Key == nil || *letter.Key != g.name {
		t.Errorf("%s: key %v", g.name, letter.Key)
	}
	if !bytes.Equal(value, g.value) || (letter.Payload == nil) != slices.Contains(g.flags, "-Z") {
		t.Errorf("%s: value % x, want % x", g.name, value, g.value)
	}
	want := originalHeaders(g)
	if diff := cmp.Diff(want, letter.Headers[:min(len(want), len(letter.Headers))]); diff != "" {
		t.Errorf("%s: headers of the record (-want +got):\n%s", g.name, diff)
	}
	for name, want := range map[string]string{
		"dlq-original-topic": "order-events", "dlq-original-partition": "0", "dlq-error-class": g.class, "dlq-replay-count": "0",
		"dlq-consumer-group": "notification-service-orders", "dlq-retry-count": "0",
	} {
		if got := letter.header(name); got != want {
			t.Errorf("%s: %s is %q, want %q", g.name, name, got, want)
		}
	}
	for _, name := range []string{
		"dlq-original-timestamp", "dlq-failure-reason", "dlq-first-failure-timestamp", "dlq-last-failure-timestamp",
		"dlq-service-name", "dlq-service-version", "dlq-stack-trace",
	} {
		if got := letter.header(name); got == "" {
			t.Errorf("%s: header %s is missing", g.name, name)
		}
	}
	if got := letter.header("traceparent"); got != g.trace() {
		t.Errorf("%s: traceparent is %q, want %q", g.name, got, g.trace())
	}
}

// originalHeaders are those that the garbage was sent with, as kcat prints them.
func originalHeaders(g garbage) []*string {
	var headers []*string
	text := func(s string) *string { return &s }
	for _, flag := range g.flags {
		if name, value, ok := strings.Cut(flag, "="); ok {
			headers = append(headers, text(name), text(value))
		}
	}
	return append(headers, text("x-repeated"), text("1"), text("x-repeated"), text("2"), text("x-empty"), text(""), text("x-null"), nil)
}

func headerNumber(t *testing.T, r *record, name string) int {
	t.Helper()
	value := r.header(name)
	number, err := strconv.Atoi(value)
	if err != nil || number < 0 || number >= len(heap) {
		t.Fatalf("header %s is %q, want the offset of a record that was sent", name, value)
	}
	return number
}

// values returns the records' values, byte for byte, in the order of read. A null value is empty here.
func (m *millrace) values(t *testing.T, topic string) [][]byte {
	t.Helper()
	// Each value after its length, four bytes big-endian; -1 stands for null.
	out := kcat(t, "", "-C", "-b", m.kafka, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%R%s")
	var values [][]byte
	for len(out) >= 4 {
		length := max(0, int(int32(binary.BigEndian.Uint32(out))))
		values = append(values, out[4:4+length])
		out = out[4+length:]
	}
	return values
}
