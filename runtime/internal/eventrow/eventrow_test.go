package eventrow_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/internal/eventrow"
)

func happened(data []byte) event.Event {
	e := event.New(event.CloudEventsVersionV1)
	e.SetID("1")
	e.SetSource("/order-service")
	e.SetType("dev.millrace.test.happened.v1")
	e.SetTime(time.Date(2026, 11, 23, 1, 2, 3, 4, time.UTC))
	e.SetExtension("partitionkey", "order-1")
	e.DataEncoded = data
	return e
}

func TestKeepsData(t *testing.T) {
	t.Parallel()
	for _, data := range [][]byte{nil, {}, []byte(`{ "a" : 1}`), {0, 1, 255}} {
		for _, base64 := range []bool{false, true} {
			e := happened(data)
			e.DataBase64 = base64
			row, err := eventrow.Encode(e)
			if err != nil {
				t.Fatal(err)
			}
			back, err := row.Event()
			if err != nil || back.String() != e.String() || back.DataBase64 != base64 ||
				!bytes.Equal(back.DataEncoded, data) || (back.DataEncoded == nil) != (data == nil) {
				t.Errorf("%q comes back as %v, %v", data, back, err)
			}
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Parallel()
	nameless := happened(nil)
	nameless.SetID("")
	large := happened(nil)
	large.SetExtension("note", strings.Repeat("x", eventrow.MaxSize))
	for want, e := range map[string]event.Event{
		"id":                    nameless,
		"an event may have":     large,
		"1048577 bytes of data": happened(make([]byte, eventrow.MaxSize+1)),
		"specversion":           {},
	} {
		if _, err := eventrow.Encode(e); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one that says %q", err, want)
		}
		if id := eventrow.ID(e); id != "" && id != "1" {
			t.Errorf("id %q", id)
		}
	}
}

func TestSumsDiffer(t *testing.T) {
	t.Parallel()
	if bytes.Equal(eventrow.Sum("ab", "c"), eventrow.Sum("a", "bc")) {
		t.Error("two lists of texts have the same sum")
	}
}

// Whatever stands in a row, reading it gives an event that can be stored again, or an error.
func FuzzRow(f *testing.F) {
	f.Add(`{"specversion":"1.0","id":"1","source":"/x","type":"t"}`, []byte("data"), true)
	f.Add(`{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{}}`, []byte{}, false)
	f.Add(`{"specversion":"0.3"}`, []byte("{}"), false)
	f.Add("", []byte(nil), false)
	f.Fuzz(func(t *testing.T, attributes string, data []byte, base64 bool) {
		row := eventrow.Row{Attributes: attributes, Data: data, Base64: base64}
		e, err := row.Event()
		if err != nil || row.Size() > eventrow.MaxSize/2 {
			return
		}
		again, err := eventrow.Encode(e)
		if err != nil {
			t.Fatalf("what was read cannot be stored: %v", err)
		}
		if _, err := again.Event(); err != nil || !bytes.Equal(again.Data, data) {
			t.Errorf("what was stored again is %q, %v", again.Data, err)
		}
	})
}
