package kafkaclient

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// errTooMuch is what a reader of a batch returns when the batch holds more than it may.
var errTooMuch = errors.New("holds more than it may")

// decompress returns a reader of the records of b. It holds a small part of them at a time, and fails with errTooMuch after
// limit bytes.
func (b *batch) decompress(limit int64) (io.ReadCloser, error) {
	var source io.Reader = bytes.NewReader(b.compressed)
	release := func() error { return nil }
	switch b.codec() {
	case codecNone:
	case codecGzip:
		r, err := gzip.NewReader(source)
		if err != nil {
			return nil, err
		}
		source = r
	case codecSnappy:
		source = newSnappyReader(b.compressed, limit)
	case codecLZ4:
		source = lz4.NewReader(source)
	case codecZstd:
		r, err := zstd.NewReader(source, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(uint64(max(limit, minZstdWindow))))
		if err != nil {
			return nil, err
		}
		source, release = r, func() error { r.Close(); return nil }
	default:
		return nil, fmt.Errorf("%s is not known", b.codecName())
	}
	return &boundedReader{source: source, left: limit, release: release}, nil
}

// minZstdWindow is what each encoder may ask of a decoder.
const minZstdWindow = 8 << 20

// boundedReader returns errTooMuch in place of a byte beyond the first left.
type boundedReader struct {
	source  io.Reader
	left    int64
	release func() error
}

func (r *boundedReader) Read(p []byte) (int, error) {
	if int64(len(p)) > r.left+1 {
		p = p[:r.left+1]
	}
	n, err := r.source.Read(p)
	if int64(n) > r.left {
		return 0, errTooMuch
	}
	r.left -= int64(n)
	if errors.Is(err, zstd.ErrWindowSizeExceeded) {
		err = errTooMuch
	}
	return n, err
}

func (r *boundedReader) Close() error { return r.release() }

// xerialMagic starts what Java's clients write: blocks of snappy, each behind its length in four bytes.
var xerialMagic = []byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0}

// xerialHeaderSize is the magic and two version numbers.
const xerialHeaderSize = 16

// snappyReader reads blocks of snappy one at a time.
type snappyReader struct {
	compressed []byte
	// framed tells that blocks stand behind their length; otherwise there is one block, without one.
	framed bool
	limit  int64
	block  []byte
	// plain is what is left of the block.
	plain []byte
}

func newSnappyReader(compressed []byte, limit int64) *snappyReader {
	r := &snappyReader{compressed: compressed, limit: limit}
	if bytes.HasPrefix(compressed, xerialMagic) && len(compressed) >= xerialHeaderSize {
		r.framed, r.compressed = true, compressed[xerialHeaderSize:]
	}
	return r
}

func (r *snappyReader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if len(r.compressed) == 0 {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

// next decompresses a block, whose size it learns before.
func (r *snappyReader) next() error {
	block := r.compressed
	if r.framed {
		if len(block) < 4 {
			return io.ErrUnexpectedEOF
		}
		size := int64(binary.BigEndian.Uint32(block))
		if block = block[4:]; size > int64(len(block)) {
			return io.ErrUnexpectedEOF
		}
		block = block[:size]
		r.compressed = r.compressed[4+size:]
	} else {
		r.compressed = nil
	}
	size, err := snappy.DecodedLen(block)
	switch {
	case err != nil:
		return err
	case int64(size) > r.limit:
		return errTooMuch
	}
	r.block, err = snappy.Decode(r.block[:cap(r.block)], block)
	r.plain = r.block
	return err
}
