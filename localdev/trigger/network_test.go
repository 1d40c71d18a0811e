package trigger_test

import (
	"context"
	"errors"
	"net"
	"sync"
)

// network is a way to a cluster that can be cut.
type network struct {
	mu    sync.Mutex
	away  bool
	conns map[net.Conn]bool
}

func newNetwork() *network { return &network{conns: map[net.Conn]bool{}} }

func (n *network) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.away {
		return nil, errors.New("the network is cut")
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		n.conns[conn] = true
	}
	return conn, err
}

// cut ends all connections, and lets no new one be made until mend.
func (n *network) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = true
	for conn := range n.conns {
		conn.Close()
	}
	clear(n.conns)
}

func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.away = false
}
