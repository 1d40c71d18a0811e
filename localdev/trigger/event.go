package trigger

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
	"github.com/millrace/millrace/localdev/trigger/template"
)

// maxEvent is the most bytes of an event.
const maxEvent = runtimeapi.MaxPayload

// encoder writes events as AWS does. It is not changed: any number of goroutines may use it.
type encoder struct {
	// prefix is an event up to its first partition.
	prefix []byte
	// name is the topic's name.
	name string
	// topic is the topic's name as JSON.
	topic []byte
}

func newEncoder(m *template.Mapping, brokers []string) *encoder {
	b := appendString([]byte(`{"eventSource":`), string(m.Source))
	if m.Source == template.MSK {
		b = appendString(append(b, `,"eventSourceArn":`...), m.Stream)
	}
	b = appendString(append(b, `,"bootstrapServers":`...), strings.Join(brokers, ","))
	return &encoder{prefix: append(b, `,"records":{`...), name: m.Topic, topic: appendString(nil, m.Topic)}
}

// appendString appends s in quotes. What is not UTF-8 in it becomes U+FFFD, as in Java.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

// partitionName is what events call a partition.
func (e *encoder) partitionName(partition int32) string {
	return e.name + "-" + strconv.Itoa(int(partition))
}

// record returns r as it stands in an event.
func (e *encoder) record(r *kgo.Record) []byte {
	b := make([]byte, 0, 160+len(e.topic)+base64.StdEncoding.EncodedLen(len(r.Key)+len(r.Value))+8*headersSize(r))
	b = append(append(b, `{"topic":`...), e.topic...)
	b = strconv.AppendInt(append(b, `,"partition":`...), int64(r.Partition), 10)
	b = strconv.AppendInt(append(b, `,"offset":`...), r.Offset, 10)
	b = strconv.AppendInt(append(b, `,"timestamp":`...), r.Timestamp.UnixMilli(), 10)
	b = append(append(append(b, `,"timestampType":"`...), timestampType(r)...), '"')
	b = appendBytes(b, `,"key":"`, r.Key)
	b = appendBytes(b, `,"value":"`, r.Value)
	return appendHeaders(b, r.Headers)
}

func headersSize(r *kgo.Record) int {
	n := 0
	for _, h := range r.Headers {
		n += 1 + len(h.Key)/4 + len(h.Value)/2
	}
	return n
}

func timestampType(r *kgo.Record) string {
	switch r.Attrs.TimestampType() {
	case 0:
		return "CREATE_TIME"
	case 1:
		return "LOG_APPEND_TIME"
	default:
		return "NO_TIMESTAMP_TYPE"
	}
}

// appendBytes appends bytes in base64, and nothing where they are null.
func appendBytes(b []byte, name string, bytes []byte) []byte {
	if bytes == nil {
		return b
	}
	return append(base64.StdEncoding.AppendEncode(append(b, name...), bytes), '"')
}

// appendHeaders appends the end of a record. A header is an object of one field, whose bytes are signed as Java's are.
func appendHeaders(b []byte, headers []kgo.RecordHeader) []byte {
	b = append(b, `,"headers":[`...)
	for i, h := range headers {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(appendString(append(b, '{'), h.Key), ':')
		b = append(appendSigned(b, h.Value), '}')
	}
	return append(b, "]}"...)
}

func appendSigned(b, bytes []byte) []byte {
	if bytes == nil {
		return append(b, "null"...)
	}
	b = append(b, '[')
	for i, unsigned := range bytes {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, int64(int8(unsigned)), 10) //nolint:gosec // that is the signed byte meant
	}
	return append(b, ']')
}

// event returns the event of records, of which there is one at least, those of a partition behind one another.
func (e *encoder) event(records []*record) []byte {
	b := append(make([]byte, 0, e.size(records)), e.prefix...)
	var last *claim
	for _, r := range records {
		switch {
		case r.claim == last:
			b = append(b, ',')
		case last != nil:
			b = append(b, "],"...)
			fallthrough
		default:
			b = append(appendString(b, e.partitionName(r.claim.partition)), ":["...)
		}
		b, last = append(b, r.encoded...), r.claim
	}
	return append(b, "]}}"...)
}

// size bounds the length of the event of records from above.
func (e *encoder) size(records []*record) int {
	n := e.empty()
	var last *claim
	for _, r := range records {
		n += len(r.encoded) + 1
		if r.claim != last {
			n, last = n+e.partitionSize(), r.claim
		}
	}
	return n
}

// empty is the size of an event without records, partitionSize what a partition adds to it, with room for any number.
func (e *encoder) empty() int         { return len(e.prefix) + 2 }
func (e *encoder) partitionSize() int { return len(e.topic) + len(`-2147483648:[],`) }
