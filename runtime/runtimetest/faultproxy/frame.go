package faultproxy

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// maxFrame is what a broker takes by default (socket.request.max.bytes).
const maxFrame = 100 << 20

// The sizes of what is read of a message, in bytes: the length that leads it, API key, API version and correlation id of
// a request, and the correlation id of an answer.
const (
	lengthSize      = 4
	keySize         = 2
	versionSize     = 2
	correlationSize = 4
	requestHead     = keySize + versionSize + correlationSize
)

// request is a request as it came.
type request struct {
	// frame is all of it, its length first.
	frame       []byte
	apiKey      int16
	correlation int32
}

// readRequest reads one request. Its memory grows with what comes, not with what the length promises.
func readRequest(r io.Reader) (request, error) {
	length, err := readLength(r, requestHead)
	if err != nil {
		return request{}, err
	}
	var frame bytes.Buffer
	_ = binary.Write(&frame, binary.BigEndian, length) // a Buffer takes everything
	if _, err := io.CopyN(&frame, r, int64(length)); err != nil {
		return request{}, fmt.Errorf("request of %d bytes: %w", length, err)
	}
	head := frame.Bytes()[lengthSize:]
	return request{
		frame:       frame.Bytes(),
		apiKey:      int16(binary.BigEndian.Uint16(head)),                       //nolint:gosec // the bits are what counts
		correlation: int32(binary.BigEndian.Uint32(head[keySize+versionSize:])), //nolint:gosec // as above
	}, nil
}

// answer is the beginning of an answer.
type answer struct {
	// head is what was read.
	head        []byte
	correlation int32
	// rest is how many bytes follow.
	rest int64
}

func readAnswer(r io.Reader) (answer, error) {
	length, err := readLength(r, correlationSize)
	if err != nil {
		return answer{}, err
	}
	head := make([]byte, lengthSize+correlationSize)
	binary.BigEndian.PutUint32(head, uint32(length)) //nolint:gosec // not negative
	if _, err := io.ReadFull(r, head[lengthSize:]); err != nil {
		return answer{}, fmt.Errorf("answer of %d bytes: %w", length, err)
	}
	return answer{
		head:        head,
		correlation: int32(binary.BigEndian.Uint32(head[lengthSize:])), //nolint:gosec // the bits are what counts
		rest:        int64(length) - correlationSize,
	}, nil
}

// readLength reads the length of a message, which is not below the size of its head.
func readLength(r io.Reader, head int32) (int32, error) {
	var length int32
	if err := binary.Read(r, binary.BigEndian, &length); err != nil {
		return 0, err
	}
	if length < head || length > maxFrame {
		return 0, fmt.Errorf("a message of %d bytes is none of Kafka's", length)
	}
	return length, nil
}
