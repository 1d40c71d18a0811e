package msktrigger

import (
	"bytes"
	"math"
	"time"
)

// timestamp reads milliseconds since 1970.
func (d *decoder) timestamp() (time.Time, error) {
	if d.null() {
		return time.Time{}, nil
	}
	ms, err := d.integer()
	if err != nil || ms < 0 {
		return time.Time{}, err
	}
	return time.UnixMilli(ms).UTC(), nil
}

// integer reads a whole number, or a string of one.
func (d *decoder) integer() (int64, error) {
	quoted, negative := d.byte('"'), d.byte('-')
	start, n := d.at, uint64(0)
	for ; d.at < len(d.text) && digit(d.text[d.at]); d.at++ {
		if n > math.MaxInt64/10 {
			return 0, errRange
		}
		n = n*10 + uint64(d.text[d.at]-'0')
	}
	switch {
	case n > math.MaxInt64:
		return 0, errRange
	case d.at == start, d.at > start+1 && d.text[start] == '0', quoted && !d.byte('"'):
		return 0, d.unless(errInteger)
	case d.continues():
		return 0, errInteger
	case negative:
		return -int64(n), nil
	}
	return int64(n), nil
}

// base64 reads a string of bytes into memory. Null is nil.
func (d *decoder) base64(memory *slab[byte]) ([]byte, error) {
	if d.null() {
		return nil, nil
	}
	if d.at < len(d.text) && d.text[d.at] == '"' {
		start := d.at + 1
		if n := bytes.IndexByte(d.text[start:], '"'); n >= 0 {
			if decoded, ok := decodeBase64(memory, d.text[start:start+n]); ok {
				d.at = start + n + 1
				return decoded, nil
			}
		}
	}
	// Something in it is escaped, or wrong.
	text, err := d.string()
	if err != nil {
		return nil, err
	}
	decoded, ok := decodeBase64(memory, text)
	if !ok {
		return nil, errBase64
	}
	return decoded, nil
}
