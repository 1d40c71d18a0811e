package main

import (
	"encoding/base64"
	"encoding/json"
	"os"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// borrowed names the events of functions that have none of their own in testdata: what another function emits for them, or
// reads as well.
var borrowed = map[string]string{
	"notification-requested": "functions/order-created/testdata/requested.json",
	"order-view":             "functions/order-created/testdata/event.json",
}

// mskPartition is what one partition adds to the event of an event source mapping.
type mskPartition struct {
	Topic   string
	Number  int
	Records []mskRecord
}

// mskRecord is a record of such an event.
type mskRecord struct {
	Offset    int
	Timestamp time.Time
	Message   kafkabinding.Message
}

// mskEvent returns the event in which Lambda would get a function's sample event three times: in binary mode, as the JSON
// envelope, and from another partition in structured mode.
func mskEvent(root *os.Root, f lambdaFunction) ([]byte, error) {
	e, wrapped, err := sample(root, f.Name)
	if err != nil {
		return nil, err
	}
	binary, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		return nil, err
	}
	structured, err := kafkabinding.Encode(e, kafkabinding.Structured)
	if err != nil {
		return nil, err
	}
	binary.Key, _ = kafkabinding.PartitionKey(e)
	// Beyond ASCII, for the bytes of headers come signed.
	binary.Headers = append(binary.Headers, kafkabinding.Header{Key: []byte("shop"), Value: []byte("Mühle")})
	return execute("msk.json.tmpl", []mskPartition{
		{Topic: f.Topic, Number: 0, Records: []mskRecord{
			{42, e.Time(), binary},
			{43, e.Time(), kafkabinding.Message{Key: binary.Key, Value: wrapped}},
		}},
		{Topic: f.Topic, Number: 2, Records: []mskRecord{{7, e.Time(), structured}}},
	})
}

// sample reads a function's sample event, and the same fact in the JSON envelope.
func sample(root *os.Root, name string) (e event.Event, wrapped []byte, err error) {
	if other, ok := borrowed[name]; ok {
		if e, err = readEvent(root, other); err != nil {
			return event.Event{}, nil, err
		}
		wrapped, err = envelope.Encode(e)
		return e, wrapped, err
	}
	folder := path.Join("functions", name, "testdata")
	if e, err = readEvent(root, path.Join(folder, "event.json")); err != nil {
		return event.Event{}, nil, err
	}
	wrapped, err = root.ReadFile(path.Join(folder, "envelope.json"))
	return e, wrapped, err
}

func readEvent(root *os.Root, name string) (event.Event, error) {
	text, err := root.ReadFile(name)
	if err != nil {
		return event.Event{}, err
	}
	var e event.Event
	err = e.UnmarshalJSON(text)
	return e, err
}

// Millis is the timestamp as Kafka has it.
func (r mskRecord) Millis() int64 { return r.Timestamp.UnixMilli() }

// Key is the key in base64, as JSON: null where there is none.
func (r mskRecord) Key() string {
	if r.Message.Key == nil {
		return "null"
	}
	return strconv.Quote(base64.StdEncoding.EncodeToString(r.Message.Key))
}

// Value is the value in base64.
func (r mskRecord) Value() string { return base64.StdEncoding.EncodeToString(r.Message.Value) }

// Headers are the headers as JSON, each an object of one name and a list of signed bytes.
func (r mskRecord) Headers() ([]string, error) {
	var lines []string
	for _, h := range r.Message.Headers {
		name, err := json.Marshal(string(h.Key))
		if err != nil {
			return nil, err
		}
		var list []string
		for _, b := range h.Value {
			list = append(list, strconv.Itoa(int(int8(b)))) //nolint:gosec // over 127 means below 0
		}
		lines = append(lines, "{"+string(name)+": ["+strings.Join(list, ",")+"]}")
	}
	return lines, nil
}
