package kafkaclient

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/IBM/sarama"
)

// What a record costs in memory beside its bytes.
const (
	recordOverhead = 256
	headerOverhead = 64
)

var errMalformed = errors.New("the record is malformed")

// recordReader reads the records of one batch, one after the other.
type recordReader struct {
	batch  *batch
	source io.ReadCloser
	buffer *bufio.Reader
	// left is how many records and bytes are to come, as far as is known.
	left      int32
	leftBytes int64
	// limit is how much memory one record may take.
	limit int64
	// failed is the error that next returns from now on.
	failed error
}

// read returns a reader of the records of b, or an error that wraps errTooMuch where they hold more than limit bytes. It
// looks at all of them first, without keeping any.
func (b *batch) read(limit int64) (*recordReader, error) {
	size, err := b.size(limit)
	if err != nil {
		return nil, err
	}
	source, err := b.decompress(size)
	if err != nil {
		return nil, err
	}
	return &recordReader{
		batch: b, source: source, buffer: bufio.NewReader(source), left: b.Records, leftBytes: size, limit: limit,
	}, nil
}

// size returns how many bytes b holds when it is decompressed.
func (b *batch) size(limit int64) (int64, error) {
	source, err := b.decompress(limit)
	if err != nil {
		return 0, err
	}
	defer source.Close()
	return io.Copy(io.Discard, source)
}

func (r *recordReader) close() { _ = r.source.Close() }

// next returns the next record and about what it takes in memory, or io.EOF behind the last. The record has memory of its
// own.
func (r *recordReader) next() (*sarama.ConsumerMessage, int64, error) {
	switch {
	case r.failed != nil:
		return nil, 0, r.failed
	case r.left <= 0:
		return nil, 0, io.EOF
	}
	r.left--
	length, err := binary.ReadVarint(r.buffer)
	if err != nil {
		return nil, 0, unexpected(err)
	}
	if length < 0 || length > r.leftBytes {
		return nil, 0, errMalformed
	}
	r.leftBytes -= length
	body := make([]byte, length)
	if _, err := io.ReadFull(r.buffer, body); err != nil {
		return nil, 0, unexpected(err)
	}
	return r.parse(body)
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (r *recordReader) parse(body []byte) (*sarama.ConsumerMessage, int64, error) {
	f := cursor{left: body}
	f.take(1) // attributes, of which there are none
	elapsed, offset := f.varint(), f.varint()
	m := &sarama.ConsumerMessage{
		Timestamp: r.batch.timestamp(elapsed),
		Offset:    r.batch.First + offset,
		Key:       f.nullable(),
		Value:     f.nullable(),
	}
	headers := f.varint()
	if f.broken || headers < 0 || headers > int64(len(f.left)) || m.Offset < r.batch.First || m.Offset > r.batch.last() {
		return nil, 0, errMalformed
	}
	weight := int64(len(body)) + headers*headerOverhead
	if weight > r.limit {
		return nil, 0, fmt.Errorf("offset %d has %d headers: %w", m.Offset, headers, errTooMuch)
	}
	m.Headers = parseHeaders(&f, headers)
	if f.broken || len(f.left) > 0 {
		return nil, 0, errMalformed
	}
	return m, weight + recordOverhead, nil
}

func parseHeaders(f *cursor, n int64) []*sarama.RecordHeader {
	if n == 0 {
		return nil
	}
	headers, memory := make([]*sarama.RecordHeader, n), make([]sarama.RecordHeader, n)
	for i := range headers {
		memory[i] = sarama.RecordHeader{Key: f.nullable(), Value: f.nullable()}
		headers[i] = &memory[i]
	}
	return headers
}
