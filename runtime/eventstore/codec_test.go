package eventstore

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/millrace/millrace/runtime/internal/eventrow"
)

// Whatever stands in a row, reading it gives an event that can be stored again, or an error that says where it is.
func FuzzRecorded(f *testing.F) {
	f.Add(`{"specversion":"1.0","id":"1","source":"/x","type":"t"}`, []byte("data"), true, `{"user":"1"}`)
	f.Add(`{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"2026-11-23T01:02:03.000000004Z","n":-7,"b":true}`, []byte(nil), false, "")
	f.Add(`{"specversion":"1.0","id":"1","source":"/x","type":"t","data":{}}`, []byte{}, false, "{}")
	f.Add(`{"specversion":"0.3"}`, []byte("{}"), false, "null")
	f.Add("", []byte{}, false, `{"a":1}`)
	f.Fuzz(func(t *testing.T, attributes string, data []byte, base64 bool, metadata string) {
		s := scanned{
			row: row{Row: eventrow.Row{Attributes: attributes, Data: data, Base64: base64}}, stream: "s", version: 3, position: 7,
			metadata: sql.NullString{String: metadata, Valid: metadata != ""},
		}
		r, err := s.recorded(chain{})
		if err != nil {
			unreadable, ok := errors.AsType[*UnreadableError](err)
			if !ok || unreadable.Stream != "s" || unreadable.Version != 3 || unreadable.Position != 7 {
				t.Fatalf("error %v", err)
			}
			return
		}
		again, err := encodeEvent(r.Event)
		if err != nil {
			t.Fatalf("what was read cannot be stored: %v", err)
		}
		if same, err := sameContent(again, again); !same || err != nil {
			t.Errorf("an event is not the same as itself: %v", err)
		}
		if _, err := (scanned{row: again}).recorded(chain{}); err != nil {
			t.Errorf("what was stored again cannot be read: %v", err)
		}
	})
}
