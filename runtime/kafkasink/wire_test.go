package kafkasink_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// wire is between a client and its brokers: it has faults happen to requests of one kind, one fault for each.
type wire struct {
	key kmsg.Key

	mu     sync.Mutex
	faults []fault
	held   []*heldRequest
}

// fault is what happens to a request. It returns whether the request goes on as if nothing had happened.
type fault func(conn net.Conn, request []byte) (pass bool)

// heldRequest is a request that the client has given up, on a connection that is still open.
type heldRequest struct {
	conn    net.Conn
	request []byte
}

var errCut = errors.New("the wire was cut")

// next has the next requests of the wire's kind meet faults.
func (w *wire) next(faults ...fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.faults = append(w.faults, faults...)
}

func (w *wire) take(request []byte) fault {
	// A request starts with its length in four bytes and its kind in two. sarama writes it at once.
	if len(request) < 6 || binary.BigEndian.Uint16(request[4:]) != uint16(w.key.Int16()) {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) == 0 {
		return nil
	}
	f := w.faults[0]
	w.faults = w.faults[1:]
	return f
}

// loseRequest has the broker never see the request.
func loseRequest(net.Conn, []byte) bool { return false }

// loseAnswer has the client never see what the broker says.
func loseAnswer(conn net.Conn, request []byte) bool {
	_ = exchange(conn, request)
	return false
}

// exchange writes a request and waits for the answer.
func exchange(conn net.Conn, request []byte) error {
	if _, err := conn.Write(request); err != nil {
		return err
	}
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	_, err := io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(size[:])))
	return err
}

// hold keeps the request for release; the client sees a connection that was cut.
func (w *wire) hold(conn net.Conn, request []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append(w.held, &heldRequest{conn, request})
	return false
}

// release delivers what was held, and waits for the broker's answers.
func (w *wire) release(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	held := w.held
	w.held = nil
	w.mu.Unlock()
	if len(held) == 0 {
		t.Error("no request was held")
	}
	for _, h := range held {
		if err := exchange(h.conn, h.request); err != nil {
			t.Errorf("a held request was not answered: %v", err)
		}
		h.conn.Close()
	}
}

// before does something while the request waits, and lets it pass.
func before(do func()) fault {
	return func(net.Conn, []byte) bool {
		do()
		return true
	}
}

// then is f, and do before the connection is cut: what f does with the broker is done by then.
func then(f fault, do func()) fault {
	return func(conn net.Conn, request []byte) bool {
		defer do()
		return f(conn, request)
	}
}

// both has two things happen; the last one decides.
func both(do func(), f fault) fault {
	return func(conn net.Conn, request []byte) bool {
		do()
		return f(conn, request)
	}
}

// wantDone checks that each fault has happened.
func (w *wire) wantDone(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.faults) > 0 {
		t.Errorf("%d faults have not happened", len(w.faults))
	}
}

func (w *wire) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	return &wireConn{Conn: conn, wire: w}, nil
}

type wireConn struct {
	net.Conn
	wire *wire

	mu sync.Mutex
	// cut says that the client lost the connection; kept, that it stays open to the broker nevertheless.
	cut, kept bool
}

func (c *wireConn) Write(b []byte) (int, error) {
	f := c.wire.take(b)
	if f == nil || f(c.Conn, b) {
		return c.Conn.Write(b)
	}
	c.wire.mu.Lock()
	kept := len(c.wire.held) > 0 && c.wire.held[len(c.wire.held)-1].conn == c.Conn
	c.wire.mu.Unlock()
	c.mu.Lock()
	c.cut, c.kept = true, kept
	c.mu.Unlock()
	return 0, errCut
}

func (c *wireConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept {
		return nil
	}
	return c.Conn.Close()
}

// openThrough returns a transactor whose requests of kind key go through the wire.
func openThrough(t *testing.T, broker *runtimetest.Broker, key kmsg.Key, id string) (*kafkasink.Transactor, *wire) {
	t.Helper()
	w := &wire{key: key}
	tr, err := kafkasink.OpenTransactor(kafkaclient.Config{Brokers: broker.Addrs, Dial: w.dial}, "test", id, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := tr.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return tr, w
}
