package runtimetest

import (
	"math/rand/v2"
	"net"
	"testing"
)

// FreeAddress returns an address of the loopback interface that nobody listens at, for what is told its address before it
// listens. The port is none that systems give to outgoing connections: one of those would often have it first.
func FreeAddress(t testing.TB) *net.TCPAddr {
	t.Helper()
	var err error
	for range 100 {
		var l net.Listener
		addr := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 20_000 + rand.IntN(12_000)}
		if l, err = net.Listen("tcp", addr.String()); err == nil {
			_ = l.Close()
			return addr
		}
	}
	t.Fatalf("no free port: %v", err)
	return nil
}
