// Package rawbatch writes record batches as no producer does: ones that decompress to a thousand times their size, or that
// do not hold what they say.
//
// It imports franz-go and the codecs. Only tests and the programs of runtimetest may import it.
package rawbatch

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/klauspost/compress/snappy/xerial"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Codec is the compression of a batch, as Kafka numbers it.
type Codec int16

// The codecs of Kafka.
const (
	None Codec = iota
	Gzip
	Snappy
	LZ4
	Zstd
)

// Codecs are those that compress.
var Codecs = []Codec{Gzip, Snappy, LZ4, Zstd}

// String returns Kafka's name of the codec.
func (c Codec) String() string {
	if names := []string{"none", "gzip", "snappy", "lz4", "zstd"}; int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("codec %d", int16(c))
}

// Compress returns what write writes, compressed.
func (c Codec) Compress(write func(io.Writer) error) ([]byte, error) {
	var compressed bytes.Buffer
	var w io.WriteCloser
	switch c {
	case None:
		err := write(&compressed)
		return compressed.Bytes(), err
	case Gzip:
		w = gzip.NewWriter(&compressed)
	case LZ4:
		w = lz4.NewWriter(&compressed)
	case Zstd:
		encoder, err := zstd.NewWriter(&compressed, zstd.WithWindowSize(1<<20))
		if err != nil {
			return nil, err
		}
		w = encoder
	case Snappy:
		// Written as a whole, as by Java's clients.
		var plain bytes.Buffer
		if err := write(&plain); err != nil {
			return nil, err
		}
		return xerial.Encode(nil, plain.Bytes()), nil
	}
	// Nothing but a writer: the one of LZ4 does not stand ReadFrom after Write.
	if err := write(struct{ io.Writer }{w}); err != nil {
		return nil, err
	}
	err := w.Close()
	return compressed.Bytes(), err
}

// Batch is a record batch that is not checked in any way.
type Batch struct {
	Codec Codec
	// Records is how many records it says to hold, LastDelta the last one's offset less the first one's.
	Records, LastDelta int32
	// Compressed are the records.
	Compressed []byte
	// Timestamp of the first record, in milliseconds.
	Timestamp int64
}

// Bytes returns the batch as it is stored.
func (b Batch) Bytes() []byte {
	checked := fixed(struct {
		Codec                  Codec
		LastDelta              int32
		FirstTime, LastTime    int64
		Producer               int64
		Epoch                  int16
		FirstSequence, Records int32
	}{b.Codec, b.LastDelta, b.Timestamp, b.Timestamp, -1, -1, -1, b.Records})
	checked = append(checked, b.Compressed...)
	whole := fixed(struct {
		First               int64 // the broker's to say
		Length, LeaderEpoch int32
		Magic               int8
		Checksum            uint32
	}{0, int32(len(checked)) + 9, -1, 2, crc32.Checksum(checked, crc32.MakeTable(crc32.Castagnoli))}) //nolint:gosec // some megabytes
	return append(whole, checked...)
}

// fixed returns v, numbers of a fixed size, as Kafka stores them.
func fixed(v any) []byte {
	b, _ := binary.Append(nil, binary.BigEndian, v)
	return b
}

// Of returns a batch of records that [Record] or others encoded.
func Of(c Codec, records ...[]byte) (Batch, error) {
	compressed, err := c.Compress(func(w io.Writer) error {
		for _, r := range records {
			if _, err := w.Write(r); err != nil {
				return err
			}
		}
		return nil
	})
	n := int32(len(records)) //nolint:gosec // a test has fewer
	return Batch{Codec: c, Records: n, LastDelta: n - 1, Compressed: compressed}, err
}

// Record encodes a record that is delta after the first of its batch. A nil key or value is null. headers are names, with
// empty values.
func Record(delta int, key, value []byte, headers ...string) []byte {
	body := Head(delta, key)
	body = appendBytes(body, value)
	body = binary.AppendVarint(body, int64(len(headers)))
	for _, name := range headers {
		body = appendBytes(body, []byte(name))
		body = appendBytes(body, []byte{})
	}
	return append(binary.AppendVarint(nil, int64(len(body))), body...)
}

// Head encodes what comes between the length of a record and its value.
func Head(delta int, key []byte) []byte {
	body := []byte{0, 0} // attributes and time
	body = binary.AppendVarint(body, int64(delta))
	return appendBytes(body, key)
}

func appendBytes(b, field []byte) []byte {
	if field == nil {
		return binary.AppendVarint(b, -1)
	}
	return append(binary.AppendVarint(b, int64(len(field))), field...)
}

// Bomb returns a batch of one record, whose value is so many zeroes.
func Bomb(c Codec, zeroes int64) (Batch, error) {
	compressed, err := c.Compress(func(w io.Writer) error {
		head := binary.AppendVarint(Head(0, []byte("bomb")), zeroes)
		if _, err := w.Write(append(binary.AppendVarint(nil, int64(len(head))+zeroes+1), head...)); err != nil {
			return err
		}
		// One more zero: no headers.
		_, err := io.CopyN(w, zero{}, zeroes+1)
		return err
	})
	return Batch{Codec: c, Records: 1, Compressed: compressed}, err
}

// zero is an endless row of zeroes.
type zero struct{}

func (zero) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// Produce writes b to a partition, acknowledged by all in-sync replicas, and returns its first offset.
func Produce(ctx context.Context, client *kgo.Client, topic string, partition int32, b Batch) (int64, error) {
	id, leader, err := locate(ctx, client, topic, partition)
	if err != nil {
		return 0, fmt.Errorf("topic %s: %w", topic, err)
	}
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, b.Bytes()
	t := kmsg.NewProduceRequestTopic()
	t.Topic, t.TopicID, t.Partitions = topic, id, []kmsg.ProduceRequestTopicPartition{p}
	request := kmsg.NewPtrProduceRequest()
	request.Acks, request.TimeoutMillis, request.Topics = -1, 10_000, []kmsg.ProduceRequestTopic{t}
	response, err := client.Broker(int(leader)).RetriableRequest(ctx, request)
	if err != nil {
		return 0, err
	}
	written := response.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(written.ErrorCode); err != nil {
		return 0, fmt.Errorf("write a %s batch of %d bytes to %s/%d: %w", b.Codec, len(p.Records), topic, partition, err)
	}
	return written.BaseOffset, nil
}

// locate returns the id of a topic, and the leader of one of its partitions.
func locate(ctx context.Context, client *kgo.Client, topic string, partition int32) (id [16]byte, leader int32, err error) {
	wanted := kmsg.NewMetadataRequestTopic()
	wanted.Topic = &topic
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = append(request.Topics, wanted)
	response, err := request.RequestWith(ctx, client)
	if err != nil {
		return id, 0, err
	}
	described := response.Topics[0]
	for _, p := range described.Partitions {
		if p.Partition == partition {
			return described.TopicID, p.Leader, kerr.ErrorForCode(p.ErrorCode)
		}
	}
	return id, 0, fmt.Errorf("no partition %d: %w", partition, kerr.ErrorForCode(described.ErrorCode))
}
