package kafkaclient

import "encoding/binary"

// cursor takes fields off bytes that came from outside. When they end too soon it is broken, and gives zeroes.
type cursor struct {
	left   []byte
	broken bool
}

// take takes n bytes, which stay where they are.
func (c *cursor) take(n int64) []byte {
	if n < 0 || n > int64(len(c.left)) {
		c.left, c.broken = nil, true
		return nil
	}
	taken := c.left[:n:n]
	c.left = c.left[n:]
	return taken
}

// nullable takes bytes that stand behind their length, a varint; -1 is null.
func (c *cursor) nullable() []byte {
	n := c.varint()
	if n == -1 || c.broken {
		return nil
	}
	return c.take(n)
}

func (c *cursor) varint() int64 {
	v, n := binary.Varint(c.left)
	if n <= 0 {
		c.left, c.broken = nil, true
		return 0
	}
	c.left = c.left[n:]
	return v
}

// string takes a string that stands behind its length, two bytes.
func (c *cursor) string() string {
	var n int16
	c.fixed(&n)
	return string(c.take(int64(n)))
}

// fixed takes numbers of a fixed size: v points to one, or to a struct of them.
func (c *cursor) fixed(v any) {
	if b := c.take(int64(binary.Size(v))); !c.broken {
		_, _ = binary.Decode(b, binary.BigEndian, v)
	}
}
