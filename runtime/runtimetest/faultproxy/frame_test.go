package faultproxy

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func FuzzReadRequest(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x08\x00\x1a\x00\x03\x00\x00\x00\x07"))
	f.Add([]byte{0, 0, 0, 10, 0, 0, 0, 11, 255, 255, 255, 255, 'a', 'b', 'c'})
	f.Add([]byte("\x00\x00\x00\x07\x00\x00\x00\x00\x00\x00\x00"))
	f.Add([]byte("\x06\x40\x00\x00"))
	f.Add([]byte("GET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		r, err := readRequest(bytes.NewReader(sent))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(sent, r.frame) {
			t.Fatalf("read %x of %x", r.frame, sent)
		}
		if length := binary.BigEndian.Uint32(sent); int(length)+lengthSize != len(r.frame) {
			t.Errorf("read %d bytes, want the length and the %d that it names", len(r.frame), length)
		}
		if want := sent[lengthSize : lengthSize+keySize]; !bytes.Equal(binary.BigEndian.AppendUint16(nil, uint16(r.apiKey)), want) {
			t.Errorf("API key %d, want % x", r.apiKey, want)
		}
	})
}

func FuzzReadAnswer(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x06\x00\x00\x00\x07ab"))
	f.Add([]byte("\x00\x00\x00\x03\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		a, err := readAnswer(bytes.NewReader(sent))
		if err != nil {
			return
		}
		if !bytes.HasPrefix(sent, a.head) || a.rest < 0 {
			t.Errorf("read %x and then %d bytes, of %x", a.head, a.rest, sent)
		}
	})
}
