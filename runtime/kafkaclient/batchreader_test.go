package kafkaclient_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/rawbatch"
)

// partition is a partition of a topic of its own, and clients of it.
type partition struct {
	*runtimetest.Broker

	topic  string
	config kafkaclient.Config
	client sarama.Client
	raw    *kgo.Client
}

// newPartition returns one that takes batches of up to 16 MB.
func newPartition(t *testing.T, change ...func(*sarama.Config)) *partition {
	t.Helper()
	p := &partition{Broker: runtimetest.Kafka(t, nil), topic: runtimetest.UniqueName(t)}
	p.CreateTopic(t, p.topic, 1, map[string]string{"max.message.bytes": "16000000"})
	p.config = kafkaclient.Config{Brokers: p.Addrs}
	p.connect(t, change...)
	return p
}

func (p *partition) connect(t *testing.T, change ...func(*sarama.Config)) {
	t.Helper()
	conf, err := p.config.Sarama("test")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range change {
		c(conf)
	}
	if p.client, err = p.config.Connect(conf); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.client.Close() })
	if p.raw, err = kgo.NewClient(kgo.SeedBrokers(p.Addrs...), kgo.BrokerMaxReadBytes(1<<30)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.raw.Close)
}

// write writes batches and returns the first offset of the last.
func (p *partition) write(t *testing.T, batches ...rawbatch.Batch) int64 {
	t.Helper()
	var offset int64
	for _, b := range batches {
		var err error
		if offset, err = rawbatch.Produce(t.Context(), p.raw, p.topic, 0, b); err != nil {
			t.Fatal(err)
		}
	}
	return offset
}

func (p *partition) reader(t *testing.T, offset int64) *kafkaclient.BatchReader {
	t.Helper()
	r := p.config.NewBatchReader(p.client, p.topic, 0, offset, nil)
	t.Cleanup(r.Close)
	return r
}

// read reads up to the offset end and returns a word for each record and each loss.
func (p *partition) read(t *testing.T, from, end int64) []string {
	t.Helper()
	r := p.reader(t, from)
	ctx, cancel := context.WithTimeout(t.Context(), runtimetest.Patience)
	defer cancel()
	var words []string
	for next := from; next < end; {
		fetched, err := r.Next(ctx)
		if err != nil {
			t.Fatalf("%v after %q", err, words)
		}
		for _, m := range fetched.Messages {
			words, next = append(words, fmt.Sprintf("%d=%s", m.Offset, m.Value)), m.Offset+1
		}
		if lost := fetched.Lost; lost != nil {
			words, next = append(words, fmt.Sprintf("lost %d-%d %s", lost.First, lost.Last, lost.Codec)), lost.Last+1
		}
	}
	return words
}

func must(t *testing.T) func(rawbatch.Batch, error) rawbatch.Batch {
	return func(b rawbatch.Batch, err error) rawbatch.Batch {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
}

// good is a batch of records whose values are the given words.
func good(t *testing.T, c rawbatch.Codec, values ...string) rawbatch.Batch {
	t.Helper()
	records := make([][]byte, len(values))
	for i, v := range values {
		records[i] = rawbatch.Record(i, []byte("key"), []byte(v))
	}
	return must(t)(rawbatch.Of(c, records...))
}

// bomb is a batch of one record of 128 MiB.
func bomb(t *testing.T, c rawbatch.Codec) rawbatch.Batch {
	t.Helper()
	return must(t)(rawbatch.Bomb(c, 128<<20))
}

func TestBombsArePassed(t *testing.T) {
	t.Parallel()
	for _, c := range rawbatch.Codecs {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			bomb := bomb(t, c)
			for _, test := range []struct {
				name    string
				batches []rawbatch.Batch
				want    []string
			}{
				{"first", []rawbatch.Batch{bomb, good(t, c, "a", "b")}, []string{"lost 0-0 ?", "1=a", "2=b"}},
				{"in the middle", []rawbatch.Batch{good(t, c, "a", "b"), bomb, good(t, c, "c")}, []string{"0=a", "1=b", "lost 2-2 ?", "3=c"}},
				{"two in a row", []rawbatch.Batch{good(t, c, "a"), bomb, bomb, good(t, c, "b")}, []string{"0=a", "lost 1-1 ?", "lost 2-2 ?", "3=b"}},
				{"last", []rawbatch.Batch{good(t, c, "a"), bomb}, []string{"0=a", "lost 1-1 ?"}},
			} {
				t.Run(test.name, func(t *testing.T) {
					t.Parallel()
					p := newPartition(t)
					end := p.write(t, test.batches...) + int64(test.batches[len(test.batches)-1].Records)
					got := strings.Join(p.read(t, 0, end), ", ")
					want := strings.ReplaceAll(strings.Join(test.want, ", "), "?", c.String())
					if got != want {
						t.Errorf("read %s, want %s", got, want)
					}
				})
			}
		})
	}
}

func TestABombIsNamed(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	p.write(t, good(t, rawbatch.None, "a"), bomb(t, rawbatch.Zstd))
	fetched, err := p.reader(t, 1).Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	lost := fetched.Lost
	if lost == nil || lost.Topic != p.topic || lost.Partition != 0 || lost.First != 1 || lost.Last != 1 || !errors.Is(lost, kafkaclient.ErrBatchTooLarge) {
		t.Fatalf("lost %+v", lost)
	}
	mustHold(t, lost, p.topic+"/0", "offsets 1 to 1", "zstd", "KAFKA_MAX_BATCH_BYTES", "67108864")
}

func TestABombOfManyRecordsIsPassedAsAWhole(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	records := make([][]byte, 100)
	for i := range records {
		records[i] = rawbatch.Record(i, nil, make([]byte, 1<<20))
	}
	p.write(t, must(t)(rawbatch.Of(rawbatch.Zstd, records...)), good(t, rawbatch.Zstd, "a"))
	if got, want := p.read(t, 0, 101), []string{"lost 0-99 zstd", "100=a"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
	if got, want := p.read(t, 40, 101), []string{"lost 40-99 zstd", "100=a"}; !slices.Equal(got, want) {
		t.Errorf("read from within %q, want %q", got, want)
	}
}

func TestABombAtTheEndIsPassedOnce(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	records := make([][]byte, 100)
	for i := range records {
		records[i] = rawbatch.Record(i, nil, make([]byte, 1<<20))
	}
	p.write(t, must(t)(rawbatch.Of(rawbatch.Zstd, records...)))
	r := p.reader(t, 0)
	if fetched, err := r.Next(t.Context()); err != nil || fetched.Lost == nil || fetched.Lost.Last != 99 {
		t.Fatalf("read %+v, %v", fetched, err)
	}
	p.write(t, good(t, rawbatch.None, "a"))
	if fetched, err := r.Next(t.Context()); err != nil || len(fetched.Messages) != 1 || fetched.Messages[0].Offset != 100 {
		t.Errorf("read %+v, %v", fetched, err)
	}
}

// What is too large for sarama's consumer, but not for us, is delivered.
func TestLargeBatchesAreDelivered(t *testing.T) {
	t.Parallel()
	for _, c := range append(rawbatch.Codecs, rawbatch.None) {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			p := newPartition(t)
			large := bytes.Repeat([]byte("millrace"), 100<<10)
			var records [][]byte
			for i := range 12 {
				records = append(records, rawbatch.Record(i, []byte("key"), large, "name"))
			}
			p.write(t, must(t)(rawbatch.Of(c, records...)), good(t, c, "a"))
			r, next := p.reader(t, 3), int64(3)
			for next < 13 {
				fetched, err := r.Next(t.Context())
				if err != nil || fetched.Lost != nil {
					t.Fatal(err, fetched.Lost)
				}
				for _, m := range fetched.Messages {
					isLarge := bytes.Equal(m.Value, large) && len(m.Headers) == 1 && string(m.Headers[0].Key) == "name"
					if m.Offset != next || string(m.Key) != "key" || m.Topic != p.topic || isLarge != (next < 12) {
						t.Fatalf("offset %d, want %d: key %q, %d bytes, %d headers", m.Offset, next, m.Key, len(m.Value), len(m.Headers))
					}
					next++
				}
			}
		})
	}
}

func TestEqualSmallRecordsAreDelivered(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	records := make([][]byte, 5000)
	for i := range records {
		records[i] = rawbatch.Record(i, nil, nil)
	}
	p.write(t, must(t)(rawbatch.Of(rawbatch.Zstd, records...)))
	if got := p.read(t, 0, 5000); len(got) != 5000 {
		t.Errorf("read %d records", len(got))
	}
}

// A record of 60 MB of empty headers would take 2 GB.
func TestTooManyHeaders(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	p.write(t, must(t)(rawbatch.Of(rawbatch.Zstd, rawbatch.Record(0, nil, nil, make([]string, 2<<20)...))), good(t, rawbatch.None, "a"))
	if got, want := p.read(t, 0, 2), []string{"lost 0-0 zstd", "1=a"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

// Apache Kafka refuses such batches.
func TestMalformedBatchesArePassed(t *testing.T) {
	t.Parallel()
	record := rawbatch.Record(0, []byte("key"), []byte("value"))
	for _, test := range []struct {
		name  string
		batch func(*testing.T) rawbatch.Batch
		want  string
	}{
		{"no compression at all", func(*testing.T) rawbatch.Batch {
			return rawbatch.Batch{Codec: rawbatch.Gzip, Records: 1, Compressed: []byte("not gzip")}
		}, "lost 0-0 gzip"},
		{"half a record", func(t *testing.T) rawbatch.Batch { return must(t)(rawbatch.Of(rawbatch.LZ4, record[:len(record)-3])) }, "lost 0-0 lz4"},
		{"fewer records than it says", func(t *testing.T) rawbatch.Batch {
			b := must(t)(rawbatch.Of(rawbatch.Zstd, record))
			b.Records, b.LastDelta = 3, 2
			return b
		}, "0=value, lost 1-2 zstd"},
		{"a broken record between good ones", func(t *testing.T) rawbatch.Batch {
			return must(t)(rawbatch.Of(rawbatch.Snappy, record, []byte{2, 0}, rawbatch.Record(2, nil, []byte("last"))))
		}, "0=value, lost 1-2 snappy"},
		{"a record as long as memory", func(t *testing.T) rawbatch.Batch {
			return must(t)(rawbatch.Of(rawbatch.Zstd, []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}))
		}, "lost 0-0 zstd"},
		{"an offset behind the batch", func(t *testing.T) rawbatch.Batch {
			return must(t)(rawbatch.Of(rawbatch.None, rawbatch.Record(5, nil, nil)))
		}, "lost 0-0 uncompressed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPartition(t)
			p.Embedded(t)
			first := test.batch(t)
			p.write(t, first, good(t, rawbatch.None, "a"))
			end := int64(first.LastDelta) + 2
			got, want := strings.Join(p.read(t, 0, end), ", "), fmt.Sprintf("%s, %d=a", test.want, end-1)
			if got != want {
				t.Errorf("read %s, want %s", got, want)
			}
		})
	}
}

func TestNextWaitsForRecords(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	r := p.reader(t, 0)
	read := make(chan kafkaclient.Fetched, 1)
	go func() {
		fetched, _ := r.Next(t.Context())
		read <- fetched
	}()
	p.write(t, good(t, rawbatch.None, "a"))
	if fetched := <-read; len(fetched.Messages) != 1 || string(fetched.Messages[0].Value) != "a" {
		t.Errorf("read %+v", fetched)
	}
	if got := r.HighWaterMark(); got != 1 {
		t.Errorf("high water mark %d, want 1", got)
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start := time.Now()
	_, err := p.reader(t, 0).Next(ctx)
	if took := time.Since(start); !errors.Is(err, context.DeadlineExceeded) || took > 5*time.Second {
		t.Errorf("Next() = %v after %s", err, took)
	}
}

func TestAnOffsetThatIsNotThereIsFinal(t *testing.T) {
	t.Parallel()
	p := newPartition(t)
	p.write(t, good(t, rawbatch.None, "a"))
	_, err := p.reader(t, 17).Next(t.Context())
	if !errors.Is(err, sarama.ErrOffsetOutOfRange) {
		t.Fatalf("Next() = %v", err)
	}
	mustHold(t, err, p.topic+"/0@17")
}

func TestOnlyWhatIsCommittedIsRead(t *testing.T) {
	t.Parallel()
	p := newPartition(t, func(c *sarama.Config) { c.Consumer.IsolationLevel = sarama.ReadCommitted })
	producer, err := kgo.NewClient(kgo.SeedBrokers(p.Addrs...), kgo.TransactionalID(runtimetest.UniqueName(t)), kgo.DefaultProduceTopic(p.topic))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	for value, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryAbort, kgo.TryCommit} {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := producer.ProduceSync(t.Context(), kgo.StringRecord(fmt.Sprint(value))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := producer.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	if got, want := p.read(t, 0, 7), []string{"0=0", "6=3"}; !slices.Equal(got, want) {
		t.Errorf("read %q, want %q", got, want)
	}
}

func TestFindObstacle(t *testing.T) {
	t.Parallel()
	same := make([][]byte, 5000)
	for i := range same {
		same[i] = rawbatch.Record(i, nil, nil)
	}
	for _, test := range []struct {
		name  string
		batch func(*testing.T) rawbatch.Batch
		want  bool
	}{
		{"a bomb", func(t *testing.T) rawbatch.Batch { return bomb(t, rawbatch.Gzip) }, true},
		{"a large batch", func(t *testing.T) rawbatch.Batch { return must(t)(rawbatch.Bomb(rawbatch.Zstd, 5<<20)) }, true},
		{"equal records", func(t *testing.T) rawbatch.Batch { return must(t)(rawbatch.Of(rawbatch.Zstd, same...)) }, true},
		{"a batch as usual", func(t *testing.T) rawbatch.Batch { return good(t, rawbatch.Snappy, "a", "b") }, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := newPartition(t)
			p.write(t, good(t, rawbatch.LZ4, "a"), test.batch(t))
			end, err := p.client.GetOffset(p.topic, 0, sarama.OffsetNewest)
			if err != nil {
				t.Fatal(err)
			}
			found, next, err := p.config.FindObstacle(t.Context(), p.client, p.topic, 0, 0)
			if err != nil || found != test.want || !found && next != end {
				t.Errorf("FindObstacle() = %t, %d, %v; the end is %d", found, next, err, end)
			}
		})
	}
}

// sarama's consumer tells of a bomb in a way that IsBatchError knows, and stands still without a word before equal records.
func TestWhatSaramaSaysOfAnObstacle(t *testing.T) {
	t.Parallel()
	p := newPartition(t, func(c *sarama.Config) { c.Consumer.Return.Errors = true })
	p.write(t, bomb(t, rawbatch.LZ4))
	consumer, err := sarama.NewConsumerFromClient(p.client)
	if err != nil {
		t.Fatal(err)
	}
	defer consumer.Close()
	claim, err := consumer.ConsumePartition(p.topic, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := <-claim.Errors(); !kafkaclient.IsBatchError(err) || !errors.Is(err, sarama.ErrDecompressedBatchTooLarge) {
		t.Errorf("sarama says %v", err)
	}
	claim.AsyncClose()
	for range claim.Messages() {
		t.Error("a message")
	}
	for _, err := range []error{
		io.EOF, &sarama.ConsumerError{Err: io.EOF}, &sarama.ConsumerError{Err: sarama.ErrNotLeaderForPartition},
		&sarama.ConsumerError{Err: sarama.ErrOutOfBrokers},
	} {
		if kafkaclient.IsBatchError(err) {
			t.Errorf("IsBatchError(%v)", err)
		}
	}
}

func TestReadingOverTLSAndSASL(t *testing.T) {
	t.Parallel()
	trusted := newAuthority(t)
	server, _, _ := trusted.issue(t, "127.0.0.1", time.Now().Add(time.Hour))
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			addrs := embedded(t, kfake.SeedTopics(1, "orders"), kfake.TLS(&tls.Config{Certificates: []tls.Certificate{server}}),
				kfake.EnableSASL(), kfake.Superuser(mechanism, "user", "right"))
			p := &partition{topic: "orders", config: kafkaclient.Config{
				Brokers: addrs, TLS: true, TLSCAFile: trusted.file,
				SASLMechanism: mechanism, SASLUsername: "user", SASLPassword: config.NewSecret("right"),
			}}
			conf, err := p.config.Sarama("test")
			if err != nil {
				t.Fatal(err)
			}
			if p.client, err = p.config.Connect(conf); err != nil {
				t.Fatal(err)
			}
			defer p.client.Close()
			conf.Producer.Return.Successes = true
			producer, err := sarama.NewSyncProducer(addrs, conf)
			if err != nil {
				t.Fatal(err)
			}
			defer producer.Close()
			if _, _, err := producer.SendMessage(&sarama.ProducerMessage{Topic: "orders", Value: sarama.StringEncoder("a")}); err != nil {
				t.Fatal(err)
			}
			if got, want := p.read(t, 0, 1), []string{"0=a"}; !slices.Equal(got, want) {
				t.Errorf("read %q, want %q", got, want)
			}
		})
	}
}
