package broker

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"syscall"
	"time"
)

func loopback(port int) string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(port)) }

// listenLoopback listens on 127.0.0.1 and, where the machine has it, on the same port of ::1: to some clients "localhost"
// is the latter, and they never try the former.
func listenLoopback(ctx context.Context, network string, port int) (net.Listener, error) {
	switch port {
	case 0:
		port = DefaultPort
	case AnyPort:
		port = 0
	}
	if port != 0 && answers(ctx, network, loopback(port)) {
		return nil, syscall.EADDRINUSE
	}
	four, err := net.Listen(network, loopback(port))
	if err != nil {
		return nil, err
	}
	_, taken, err := net.SplitHostPort(four.Addr().String())
	if err != nil {
		return nil, errors.Join(err, four.Close())
	}
	six, err := net.Listen(network, net.JoinHostPort("::1", taken))
	switch {
	case err == nil:
		return join(four, six), nil
	case port != 0 && errors.Is(err, syscall.EADDRINUSE):
		return nil, errors.Join(err, four.Close())
	}
	return four, nil
}

// answers tells whether somebody listens at addr. On some systems a process can take 127.0.0.1 although another one
// already listens there for all addresses; clients would then reach either.
func answers(ctx context.Context, network, addr string) bool {
	conn, err := (&net.Dialer{Timeout: 200 * time.Millisecond}).DialContext(ctx, network, addr)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// joined is one listener over two. Its address is the first one's.
type joined struct {
	net.Listener
	second net.Listener
	conns  chan accepted
	done   chan struct{}
	close  sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

func join(first, second net.Listener) *joined {
	j := &joined{Listener: first, second: second, conns: make(chan accepted), done: make(chan struct{})}
	go j.accept(first)
	go j.accept(second)
	return j
}

func (j *joined) accept(from net.Listener) {
	for {
		conn, err := from.Accept()
		select {
		case j.conns <- accepted{conn, err}:
		case <-j.done:
			if conn != nil {
				_ = conn.Close()
			}
			return
		}
	}
}

// Accept implements net.Listener.
func (j *joined) Accept() (net.Conn, error) {
	select {
	case a := <-j.conns:
		return a.conn, a.err
	case <-j.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (j *joined) Close() error {
	var err error
	j.close.Do(func() {
		close(j.done)
		err = errors.Join(j.Listener.Close(), j.second.Close())
	})
	return err
}
