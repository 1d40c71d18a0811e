package trigger_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/msktrigger"
)

var update = flag.Bool("update", false, "write the golden files")

// payloads is a function that keeps the events as they come.
type payloads chan []byte

func (p payloads) Invoke(_ context.Context, payload []byte) (process.Result, error) {
	p <- slices.Clone(payload)
	return process.Result{}, nil
}

// What is in Kafka becomes the event that AWS documents, to the byte.
func TestEventsAreAWSs(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1764000000000)
	records := []*kgo.Record{
		{Key: []byte("order-1"), Value: []byte(`{"n":1}`), Timestamp: at, Headers: []kgo.RecordHeader{
			{Key: "ce_id", Value: []byte("a\x00\x7f\x80\xff")}, {Key: "ce_id", Value: []byte{}}, {Key: "null"}, {Key: `quo"te ü`, Value: []byte("1")},
		}},
		{Key: []byte{}, Value: []byte{}, Timestamp: at.Add(time.Millisecond)},
		{Timestamp: at.Add(-time.Hour)},
	}
	for name, source := range map[string]template.Source{"msk": template.MSK, "self-managed": template.SelfManaged} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, 2)
			copies := make([]*kgo.Record, len(records))
			for i := range records {
				r := *records[i]
				copies[i] = &r
			}
			b.broker.ProduceTo(t, b.topic, 0, copies...)
			b.broker.ProduceTo(t, b.topic, 1, &kgo.Record{Value: []byte("last"), Timestamp: at})
			b.spec.Source, b.spec.Window = source, time.Second
			got := make(payloads, 10)
			b.startInvoker(b.opts, got)
			event := strings.NewReplacer(b.topic, "orders", strings.Join(b.broker.Addrs, ","), "b-1.mill:9098").Replace(string(<-got))
			golden(t, name+".json", event)
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(strings.TrimSuffix(string(want), "\n"), got); diff != "" {
		t.Error(diff)
	}
}

// The bytes in Kafka are the bytes that the function's own decoder finds.
func TestBytesAreKept(t *testing.T) {
	t.Parallel()
	b := newBench(t, 1)
	b.spec.Window = 0
	got := make(payloads, 100)
	b.startInvoker(b.opts, got)
	anyBytes := rapid.OneOf(rapid.Just([]byte(nil)), rapid.SliceOfN(rapid.Byte(), 0, 40))
	headers := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) kgo.RecordHeader {
		return kgo.RecordHeader{Key: rapid.StringN(0, 12, 24).Draw(t, "name"), Value: anyBytes.Draw(t, "bytes")}
	}), 0, 5)
	offset := int64(0)
	rapid.Check(t, func(rt *rapid.T) {
		r := &kgo.Record{
			Key: anyBytes.Draw(rt, "key"), Value: anyBytes.Draw(rt, "value"), Headers: headers.Draw(rt, "headers"),
			Timestamp: time.UnixMilli(rapid.Int64Range(0, 1_764_000_000_000).Draw(rt, "time")),
		}
		b.broker.ProduceTo(t, b.topic, 0, r)
		batch, err := msktrigger.Decode(<-got)
		if err != nil {
			rt.Fatal(err)
		}
		decoded := batch.Partitions[0].Records[0]
		want := kafkabinding.Message{Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			want.Headers = append(want.Headers, kafkabinding.Header{Key: []byte(h.Key), Value: h.Value})
		}
		if diff := cmp.Diff(want, decoded.Message, cmpopts.EquateEmpty()); diff != "" {
			rt.Error(diff)
		}
		if (decoded.Key == nil) != (r.Key == nil) || (decoded.Value == nil) != (r.Value == nil) {
			rt.Error("null became empty, or empty null")
		}
		for i, h := range decoded.Headers {
			if (h.Value == nil) != (r.Headers[i].Value == nil) {
				rt.Errorf("header %d: null became empty, or empty null", i)
			}
		}
		if decoded.Offset != offset || !decoded.Timestamp.Equal(r.Timestamp) || decoded.Err != nil {
			rt.Errorf("offset %d at %s, want %d at %s: %v", decoded.Offset, decoded.Timestamp, offset, r.Timestamp, decoded.Err)
		}
		offset++
	})
	b.committed(map[int32]int64{0: offset})
}
