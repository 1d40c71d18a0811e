package mailer

import (
	"net"
	"strings"
	"testing"
)

// A name of this machine that leads to another one is not spoken to in the clear. The ends of a pipe are not on
// loopback.
func TestClearTextStaysOnThisMachine(t *testing.T) {
	t.Parallel()
	d, err := newDialer(Server{Addr: "localhost:25", TLS: NoTLS}, &Options{})
	if err != nil {
		t.Fatal(err)
	}
	near, far := net.Pipe()
	defer near.Close()
	_ = far.Close()
	if _, err := d.greet(&boundedConn{Conn: near}); err == nil || !strings.Contains(err.Error(), "leads to another machine") {
		t.Errorf("got %v", err)
	}
}
