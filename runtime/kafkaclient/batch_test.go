package kafkaclient

import (
	"errors"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/runtimetest/rawbatch"
)

// Whatever a broker says: no panic, no more memory than the limit, and an end.
func FuzzBatches(f *testing.F) {
	for _, c := range append(rawbatch.Codecs, rawbatch.None) {
		b, err := rawbatch.Of(c, rawbatch.Record(0, []byte("key"), []byte("value"), "header"), rawbatch.Record(1, nil, nil))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
		f.Add(append(b.Bytes(), b.Bytes()[:70]...))
	}
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, data []byte) {
		const limit = 1 << 20
		for {
			b, rest, err := cutBatch(data)
			if err != nil {
				return
			}
			if len(rest) >= len(data) {
				t.Fatal("no progress")
			}
			data = rest
			if b.Magic != batchMagic {
				continue
			}
			records, err := b.read(limit)
			if err != nil {
				continue
			}
			for n := 0; ; n++ {
				m, weight, err := records.next()
				if err != nil {
					break
				}
				if m.Offset < b.First || m.Offset > b.last() || weight > limit+recordOverhead || n > limit {
					t.Fatalf("record %d: offset %d of %d to %d, %d bytes", n, m.Offset, b.First, b.last(), weight)
				}
			}
			records.close()
		}
	})
}

func FuzzAnswer(f *testing.F) {
	w := wanted{topic: "orders", partition: 3}
	f.Add(response(w, []abortedTransaction{{Producer: 1, First: 2}}, []byte("batches")))
	f.Add(response(w, nil, nil))
	f.Fuzz(func(t *testing.T, body []byte) {
		a, err := parseAnswer(body, w)
		if err == nil && len(a.batches)+16*len(a.aborted) > len(body) {
			t.Errorf("%d bytes and %d transactions out of %d bytes", len(a.batches), len(a.aborted), len(body))
		}
	})
}

// response is what a broker answers to w.
func response(w wanted, aborted []abortedTransaction, batches []byte) []byte {
	b := make([]byte, 4+2+4, 100) // not throttled, no error, no session
	b = appendString(appendFixed(b, int32(1)), w.topic)
	b = appendFixed(b, struct {
		Partitions, Partition            int32
		Error                            int16
		HighWaterMark, Stable, LogStarts int64
		Aborted                          int32
	}{1, w.partition, 0, 42, 42, 0, int32(len(aborted))})
	for _, a := range aborted {
		b = appendFixed(b, a)
	}
	return append(appendFixed(b, int32(len(batches))), batches...)
}

func TestParseAnswer(t *testing.T) {
	t.Parallel()
	w := wanted{topic: "orders", partition: 3}
	whole := response(w, []abortedTransaction{{Producer: 1, First: 2}}, []byte("batches"))
	a, err := parseAnswer(whole, w)
	if err != nil || a.highWaterMark != 42 || len(a.aborted) != 1 || a.aborted[0].First != 2 || string(a.batches) != "batches" {
		t.Fatalf("%+v, %v", a, err)
	}
	for n := range whole {
		if _, err := parseAnswer(whole[:n], w); !errors.Is(err, errAnswer) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	refused := response(w, nil, nil)
	copy(refused[10+4+2+len(w.topic)+8:], appendFixed(nil, int16(sarama.ErrNotLeaderForPartition)))
	if _, err := parseAnswer(refused, w); !errors.Is(err, sarama.ErrNotLeaderForPartition) {
		t.Errorf("refused: %v", err)
	}
}

func TestABatchIsCheckedBeforeItIsRead(t *testing.T) {
	t.Parallel()
	good, err := rawbatch.Of(rawbatch.None, rawbatch.Record(0, nil, []byte("value")))
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func([]byte){
		"a changed byte":   func(b []byte) { b[len(b)-2]++ },
		"an older format":  func(b []byte) { b[magicAt] = 1 },
		"an end too early": func(b []byte) { b[23] = 0x80 },
	} {
		bytes := good.Bytes()
		change(bytes)
		b, rest, err := cutBatch(bytes)
		if err != nil || len(rest) > 0 || b.check() == nil {
			t.Errorf("%s: %v, check: %v", name, err, b.check())
		}
	}
	b, _, err := cutBatch(good.Bytes())
	if err != nil || b.check() != nil {
		t.Errorf("%v, check: %v", err, b.check())
	}
	for n := range good.Bytes() {
		if _, _, err := cutBatch(good.Bytes()[:n]); !errors.Is(err, errPartial) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// A frame may ask its decoder for a window, which is memory, before there is any content.
func TestAWindowBeyondTheLimitIsTooMuch(t *testing.T) {
	t.Parallel()
	const magic, window = "\x28\xb5\x2f\xfd", "\x00\x88" // 2^27 bytes
	b := batch{batchHeader: batchHeader{Attributes: codecZstd}, compressed: []byte(magic + window + "\x01\x00\x00")}
	if _, err := b.size(64 << 20); !errors.Is(err, errTooMuch) {
		t.Errorf("size: %v", err)
	}
	if n, err := b.size(128 << 20); n != 0 || err != nil {
		t.Errorf("size within the limit: %d, %v", n, err)
	}
}
