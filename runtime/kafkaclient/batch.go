package kafkaclient

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"time"
)

// batch is a record batch as the broker keeps it, format 2 (https://kafka.apache.org/documentation/#recordbatch).
type batch struct {
	batchHeader

	// compressed are the records.
	compressed []byte
	intact     bool
}

// batchHeader is the part of a batch that is never compressed, field by field.
type batchHeader struct {
	First int64
	// Length is the size of all that follows it.
	Length      int32
	LeaderEpoch int32
	// Magic is the number of the format; it stands in the same place in those before this one.
	Magic int8
	// Checksum is of all that follows it.
	Checksum   uint32
	Attributes int16
	// LastDelta is the last offset less the first.
	LastDelta int32
	// FirstTime and LastTime are in milliseconds.
	FirstTime, LastTime int64
	Producer            int64
	ProducerEpoch       int16
	FirstSequence       int32
	Records             int32
}

const (
	// The places in a batch where Length ends, Magic stands and what the checksum is of begins.
	lengthEnds  = 12
	magicAt     = 16
	checkedFrom = 21

	batchHeaderSize = 61
	batchMagic      = 2
)

// The bits of a batch's attributes.
const (
	codecMask         = 0b111
	appendTimeFlag    = 1 << 3
	transactionalFlag = 1 << 4
	controlFlag       = 1 << 5
)

// The codecs of a batch.
const (
	codecNone = iota
	codecGzip
	codecSnappy
	codecLZ4
	codecZstd
)

var codecNames = []string{"uncompressed", "gzip", "snappy", "lz4", "zstd"}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errPartial is a batch whose end did not come: the broker cuts an answer where its limit is.
var errPartial = errors.New("the answer ends within a batch")

// cutBatch returns the batch that b starts with, and what follows it. The batch shares b's memory; one of an older format
// has only its first offset and its format.
func cutBatch(b []byte) (batch, []byte, error) {
	if len(b) <= magicAt {
		return batch{}, nil, errPartial
	}
	var start struct {
		First  int64
		Length int32
	}
	_, _ = binary.Decode(b, binary.BigEndian, &start)
	end := lengthEnds + int64(start.Length)
	switch magic := b[magicAt]; {
	case end <= magicAt, magic == batchMagic && end < batchHeaderSize:
		return batch{}, nil, fmt.Errorf("the batch at offset %d says that it is %d bytes long", start.First, start.Length)
	case end > int64(len(b)):
		return batch{}, nil, errPartial
	case magic != batchMagic:
		return batch{batchHeader: batchHeader{First: start.First, Magic: int8(magic & 0x7f)}}, b[end:], nil
	}
	parsed := batch{compressed: b[batchHeaderSize:end]}
	_, _ = binary.Decode(b, binary.BigEndian, &parsed.batchHeader)
	parsed.intact = crc32.Checksum(b[checkedFrom:end], castagnoli) == parsed.Checksum
	return parsed, b[end:], nil
}

func (b *batch) last() int64         { return b.First + int64(b.LastDelta) }
func (b *batch) codec() int          { return int(b.Attributes & codecMask) }
func (b *batch) isControl() bool     { return b.Attributes&controlFlag != 0 }
func (b *batch) transactional() bool { return b.Attributes&transactionalFlag != 0 }

// codecName is the codec's name, or its number.
func (b *batch) codecName() string {
	if c := b.codec(); c < len(codecNames) {
		return codecNames[c]
	}
	return fmt.Sprintf("codec %d", b.codec())
}

// timestamp returns the time of the record that lies delta milliseconds after the batch's first.
func (b *batch) timestamp(delta int64) time.Time {
	if b.Attributes&appendTimeFlag != 0 {
		return time.UnixMilli(b.LastTime)
	}
	return time.UnixMilli(b.FirstTime + delta)
}

// check returns why the batch cannot be taken from this broker at this time, or nil.
func (b *batch) check() error {
	switch {
	case b.Magic != batchMagic:
		return fmt.Errorf("the batch at offset %d has format %d, which is not read beside batches that are too large", b.First, b.Magic)
	case !b.intact:
		return fmt.Errorf("the batch at offset %d does not match its checksum: the broker's disk or the network changed it", b.First)
	case b.LastDelta < 0:
		return fmt.Errorf("the batch at offset %d ends at offset %d", b.First, b.last())
	}
	return nil
}
