package kafkabinding_test

import (
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/cloudevents/sdk-go/v2/types"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

var modes = []kafkabinding.Mode{kafkabinding.Binary, kafkabinding.Structured}

func forEachMode(t *testing.T, run func(*rapid.T, kafkabinding.Mode)) {
	for _, mode := range modes {
		t.Run(mode.String(), func(t *testing.T) {
			t.Parallel()
			rapid.Check(t, func(t *rapid.T) { run(t, mode) })
		})
	}
}

// readBack returns e as it comes out of a message that it was written into: in binary mode all extensions are strings,
// in structured mode booleans and integers stay what they are, and JSON data without a type gets one.
func readBack(t rapid.TB, e event.Event, mode kafkabinding.Mode) event.Event {
	e = e.Clone()
	ec := e.Context.(*event.EventContextV1)
	for name, value := range ec.Extensions {
		switch value.(type) {
		case bool, int32:
			if mode == kafkabinding.Structured {
				continue
			}
		}
		text, err := types.Format(value)
		if err != nil {
			t.Fatal(err)
		}
		ec.Extensions[name] = text
	}
	if mode == kafkabinding.Structured && e.DataEncoded != nil && !e.DataBase64 && ec.DataContentType == nil {
		ec.DataContentType = event.StringOfApplicationJSON()
	}
	return e
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	forEachMode(t, func(t *rapid.T, mode kafkabinding.Mode) {
		e := cloudeventstest.Events().Draw(t, "event")
		m, err := kafkabinding.Encode(e, mode)
		if err != nil {
			t.Fatal(err)
		}
		got, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatalf("%v\n%s", err, m.Value)
		}
		if diff := cloudeventstest.Diff(readBack(t, e, mode), got); diff != "" {
			t.Fatalf("events differ (-want +got):\n%s", diff)
		}
		if err := got.Validate(); err != nil {
			t.Fatalf("the SDK's validation: %v", err)
		}
	})
}

// TestSDKReadsWhatIsWritten: the SDK decodes our messages to the same events, but for what asSDKReads lists.
func TestSDKReadsWhatIsWritten(t *testing.T) {
	t.Parallel()
	forEachMode(t, func(t *rapid.T, mode kafkabinding.Mode) {
		e := cloudeventstest.Events().Draw(t, "event")
		m, err := kafkabinding.Encode(e, mode)
		if err != nil {
			t.Fatal(err)
		}
		got, err := sdkDecode(m)
		if err != nil {
			t.Fatalf("SDK: %v\n%s", err, m.Value)
		}
		want := asSDKReads(readBack(t, e, mode), mode)
		if mode == kafkabinding.Structured && e.DataContentType() == "" {
			want.Context.(*event.EventContextV1).DataContentType = nil // the SDK leaves implied JSON implied
		}
		if diff := cloudeventstest.Diff(want, got); diff != "" {
			t.Fatalf("events differ (-ours +SDK's):\n%s", diff)
		}
	})
}

// asSDKReads returns e as the SDK reads it: in binary mode it trims attributes and takes empty data for none.
func asSDKReads(e event.Event, mode kafkabinding.Mode) event.Event {
	if mode == kafkabinding.Structured {
		return e
	}
	ec := e.Context.(*event.EventContextV1)
	ec.ID, ec.Type = strings.TrimSpace(ec.ID), strings.TrimSpace(ec.Type)
	if ec.Subject != nil {
		*ec.Subject = strings.TrimSpace(*ec.Subject)
	}
	if len(e.DataEncoded) == 0 {
		e.DataEncoded = nil
	}
	return e
}

// TestReadsWhatSDKWrites: we decode the SDK's messages to the same events that we decode from our own.
func TestReadsWhatSDKWrites(t *testing.T) {
	t.Parallel()
	forEachMode(t, func(t *rapid.T, mode kafkabinding.Mode) {
		e := cloudeventstest.Events().Draw(t, "event")
		m, err := sdkEncode(e, mode)
		if err != nil {
			t.Fatalf("SDK: %v", err)
		}
		got, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatalf("%v\n%s", err, m.Value)
		}
		want := readBack(t, e, mode)
		if mode == kafkabinding.Binary && len(e.DataEncoded) == 0 {
			want.DataEncoded = nil // the SDK writes empty data as none
		}
		for name, value := range e.Extensions() {
			if at, ok := value.(types.Timestamp); ok && mode == kafkabinding.Structured {
				want.SetExtension(name, at.Format(time.RFC3339Nano)) // the SDK does not write it in UTC
			}
		}
		if diff := cloudeventstest.Diff(want, got); diff != "" {
			t.Fatalf("events differ (-want +got):\n%s", diff)
		}
	})
}
