// Package eventrow turns CloudEvents into columns of a table and back: attributes as text in the CloudEvents JSON format, data
// byte by byte. What keeps events in a database keeps them in this way.
//
// It imports the CloudEvents SDK's event package and cloudevents/kafkabinding.
package eventrow

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// MaxSize is the size of an event, attributes and data, in bytes. A record of Kafka holds 1 MB by default.
const MaxSize = 1 << 20

// Row is an event as it is stored.
type Row struct {
	// Attributes are those of the event, without its data, in the CloudEvents JSON format.
	Attributes string
	// Data is the event's data, nil where it has none, which differs from empty.
	Data []byte
	// Base64 says that the data is written as base64 in JSON.
	Base64 bool
}

// Encode returns the row of an event, which shares its data. The error says what is wrong with the event, or that it exceeds
// MaxSize.
func Encode(e event.Event) (Row, error) {
	if err := kafkabinding.Validate(e); err != nil {
		return Row{}, err
	}
	if size := len(e.DataEncoded); size > MaxSize {
		return Row{}, fmt.Errorf("%d bytes of data, an event may have %d with its attributes", size, MaxSize)
	}
	r := Row{Data: e.DataEncoded, Base64: e.DataBase64}
	e.DataEncoded, e.DataBase64 = nil, false
	message, err := kafkabinding.Encode(e, kafkabinding.Structured)
	if err != nil {
		return Row{}, err
	}
	r.Attributes = string(message.Value)
	if r.Size() > MaxSize {
		return Row{}, fmt.Errorf("%d bytes, an event may have %d", r.Size(), MaxSize)
	}
	return r, nil
}

// Size is what the row counts against limits, in bytes.
func (r Row) Size() int { return len(r.Attributes) + len(r.Data) }

// structured is the header that marks the CloudEvents JSON format.
var structured = []kafkabinding.Header{{Key: []byte("content-type"), Value: []byte(event.ApplicationCloudEventsJSON)}}

// Event returns the event of a row, which shares its data. Extension attributes whose type JSON does not have, as times and
// bytes, come back in their canonical form as text (CloudEvents 1.0, "Type System").
func (r Row) Event() (event.Event, error) {
	e, err := kafkabinding.Decode(kafkabinding.Message{Value: []byte(r.Attributes), Headers: structured})
	if err != nil {
		return event.Event{}, err
	}
	e.DataEncoded, e.DataBase64 = r.Data, r.Base64
	return e, nil
}

// ID returns the id of an event for errors, also of one that has no context, cut where it is long.
func ID(e event.Event) string {
	if e.Context == nil {
		return ""
	}
	return e.ID()[:min(len(e.ID()), 200)]
}

// Sum is what stands for texts of any length: 32 bytes (SHA-256), others for other texts.
func Sum(texts ...string) []byte {
	h := sha256.New()
	for _, text := range texts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(text)))
		h.Write(size[:])
		h.Write([]byte(text))
	}
	return h.Sum(nil)
}
