package consumergroup_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// latency is how long the network takes each way.
const latency = time.Millisecond

// wire is what connects one process of a model's history to the brokers. It can be cut, for a while or for good; it can
// fall silent and deliver later what was on its way, as when a cable is pulled and plugged in again; and it can lose a
// request, or its answer, together with the connection.
type wire struct {
	dial func(ctx context.Context, network, addr string) (net.Conn, error)

	mu    sync.Mutex
	dead  bool
	open  map[*connection]bool
	heard chan struct{} // closed while the wire is not silent
	traps []trap
	// member is the id by which the process joined its group last.
	member string
}

// trap is a fault that waits for a request of a key.
type trap struct {
	key kmsg.Key
	// kind: the request is lost, its answer is, or it arrives after a delay that its sender does not wait for.
	kind  string
	delay time.Duration
}

const (
	lostRequest = "lost request"
	lostAnswer  = "lost answer"
	lateRequest = "late request"
)

var errCut = errors.New("connection refused")

func newWire(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *wire {
	heard := make(chan struct{})
	close(heard)
	return &wire{dial: dial, open: map[*connection]bool{}, heard: heard}
}

// Dial opens a connection, as kafkaclient.Config.Dial wants it.
func (w *wire) Dial(ctx context.Context, network, addr string) (net.Conn, error) {
	select {
	case <-w.audible():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	time.Sleep(latency)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.dead {
		return nil, errCut
	}
	server, err := w.dial(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	near, far := net.Pipe()
	c := &connection{wire: w, near: near, far: far, server: server, done: make(chan struct{}), doomed: map[int32]bool{}}
	w.open[c] = true
	requests, answers := make(chan frame, 64), make(chan frame, 64)
	go c.receive(far, requests)
	go c.receive(server, answers)
	go c.forward(requests)
	go c.answer(answers)
	return near, nil
}

// cut closes all connections and refuses others, until mend.
func (w *wire) cut() {
	w.mu.Lock()
	w.dead = true
	open := w.open
	w.open = map[*connection]bool{}
	w.mu.Unlock()
	for c := range open {
		c.close()
	}
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = false
}

// silence holds back whatever is sent, until speak.
func (w *wire) silence() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.heard:
		w.heard = make(chan struct{})
	default:
	}
}

func (w *wire) speak() {
	w.mu.Lock()
	defer w.mu.Unlock()
	select {
	case <-w.heard:
	default:
		close(w.heard)
	}
}

// audible returns a channel that is closed while the wire is not silent.
func (w *wire) audible() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.heard
}

func (w *wire) set(t trap) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.traps = append(w.traps, t)
}

// spring returns the trap that a request runs into.
func (w *wire) spring(f frame) (trap, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.IndexFunc(w.traps, func(t trap) bool { return t.key == f.key() })
	if i < 0 {
		return trap{}, false
	}
	t := w.traps[i]
	w.traps = slices.Delete(w.traps, i, i+1)
	return t, true
}

// identify takes note of the id in a request to join a group.
func (w *wire) identify(f frame) {
	if f.key() != kmsg.JoinGroup {
		return
	}
	request := kmsg.NewPtrJoinGroupRequest()
	request.SetVersion(int16(binary.BigEndian.Uint16(f[6:])))
	// What follows is the client's id, and the number of tags, which is 0.
	body := f[12+2+binary.BigEndian.Uint16(f[12:]):]
	if request.IsFlexible() {
		body = body[1:]
	}
	if err := request.ReadFrom(body); err != nil || request.MemberID == "" {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.member = request.MemberID
}

func (w *wire) memberID() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.member
}

// frame is a request or an answer with its length in front.
type frame []byte

// key is that of a request.
func (f frame) key() kmsg.Key { return kmsg.Key(binary.BigEndian.Uint16(f[4:])) }

func (f frame) correlation(isRequest bool) int32 {
	if isRequest {
		return int32(binary.BigEndian.Uint32(f[8:]))
	}
	return int32(binary.BigEndian.Uint32(f[4:]))
}

// connection carries frames between a client and a broker.
type connection struct {
	wire *wire
	// near is the client's end of a pipe, far the other one.
	near, far, server net.Conn
	once              sync.Once
	done              chan struct{}

	mu sync.Mutex
	// doomed are the requests whose answers are lost.
	doomed map[int32]bool
}

func (c *connection) close() {
	c.once.Do(func() {
		close(c.done)
		c.far.Close()
		c.server.Close()
	})
	c.wire.mu.Lock()
	delete(c.wire.open, c)
	c.wire.mu.Unlock()
}

// receive takes frames as they come: a sender waits for nobody.
func (c *connection) receive(from io.Reader, frames chan<- frame) {
	defer close(frames)
	for {
		var size [4]byte
		if _, err := io.ReadFull(from, size[:]); err != nil {
			return
		}
		f := make(frame, 4+binary.BigEndian.Uint32(size[:]))
		copy(f, size[:])
		if _, err := io.ReadFull(from, f[4:]); err != nil {
			return
		}
		frames <- f
	}
}

// travel waits until a frame arrives. It is false when the connection is closed before.
func (c *connection) travel() bool {
	select {
	case <-c.wire.audible():
	case <-c.done:
		return false
	}
	time.Sleep(latency)
	select {
	case <-c.done:
		return false
	default:
		return true
	}
}

func (c *connection) forward(requests <-chan frame) {
	defer c.close()
	for f := range requests {
		if !c.travel() {
			return
		}
		c.wire.identify(f)
		if t, ok := c.wire.spring(f); ok && !c.fall(t, f) {
			return
		}
		if _, err := c.server.Write(f); err != nil {
			return
		}
	}
}

// fall has a request run into a trap. It is false when the connection is lost at once.
func (c *connection) fall(t trap, f frame) bool {
	switch t.kind {
	case lostAnswer:
		c.mu.Lock()
		c.doomed[f.correlation(true)] = true
		c.mu.Unlock()
		return true
	case lateRequest:
		// The client sees the connection end; the broker does not, until the request has come.
		c.near.Close()
		select {
		case <-time.After(t.delay):
		case <-c.done:
			return false
		}
		_, _ = c.server.Write(f)
		time.Sleep(latency)
	}
	return false
}

func (c *connection) answer(answers <-chan frame) {
	defer c.close()
	for f := range answers {
		if !c.travel() {
			return
		}
		c.mu.Lock()
		doomed := c.doomed[f.correlation(false)]
		c.mu.Unlock()
		if doomed {
			return
		}
		if _, err := c.far.Write(f); err != nil {
			return
		}
	}
}
