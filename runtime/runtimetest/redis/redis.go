// Package redis gives tests a Redis: one server for all tests of a package, a database for each.
//
//	var server redis.Shared
//
//	func TestMain(m *testing.M) {
//		code := m.Run()
//		server.Stop()
//		os.Exit(code)
//	}
//
//	func TestX(t *testing.T) { … server.Database(t) … }
//
// It runs the redis-server in PATH. A test is skipped where there is none. Only tests and localdev may import it.
package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/runtime/runtimetest/internal/daemon"
)

// most is how many databases a server has.
const most = 10_000

// Server is a Redis server on a free port of the loopback interface. It appends each write to a file before it answers.
type Server struct {
	*daemon.Daemon

	databases atomic.Int64
}

// Start starts a server that ends with the test.
func Start(t testing.TB) *Server {
	t.Helper()
	s, err := start(program(t))
	daemon.Check(t, "start Redis", err)
	t.Cleanup(s.Stop)
	return s
}

// program returns the path of the server, or skips the test.
func program(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("needs Redis: redis-server is not in PATH (Debian's package redis-server)")
	}
	return path
}

func start(program string) (*Server, error) {
	d, err := daemon.New("redis")
	if err != nil {
		return nil, err
	}
	_, port, _ := strings.Cut(d.Address, ":")
	d.Command = func() []string {
		return []string{
			program, "--port", port, "--bind", "127.0.0.1", "--dir", d.Dir, "--databases", strconv.Itoa(most),
			"--save", "", "--appendonly", "yes", "--appendfsync", "always",
		}
	}
	d.Ready = func(ctx context.Context) error { return ping(ctx, d.Address) }
	if err := d.Start(); err != nil {
		d.Stop()
		return nil, err
	}
	return &Server{Daemon: d}, nil
}

// ping asks in Redis' inline form, and fails while the server still loads its data.
func ping(ctx context.Context, address string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return err
	}
	answer, err := bufio.NewReader(conn).ReadString('\n')
	if err == nil && answer != "+PONG\r\n" {
		err = errors.New(strings.TrimSpace(answer))
	}
	return err
}

// Database returns the URL of an empty database. It goes with the server.
func (s *Server) Database(t testing.TB) string {
	t.Helper()
	number := s.databases.Add(1)
	if number >= most {
		t.Fatalf("all %d databases of the server are in use", most)
	}
	return fmt.Sprintf("redis://%s/%d", s.Address, number)
}

// Restart kills the server, as a crash does, and starts it again with its data on the same port.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.Kill()
	daemon.Check(t, "start Redis again", s.Start())
}

// Shared is a server for the tests of a package. The zero value starts when it is first used; Stop ends it.
type Shared struct {
	once   sync.Once
	server *Server
	err    error
}

// Database returns the URL of an empty database.
func (s *Shared) Database(t testing.TB) string {
	t.Helper()
	path := program(t)
	s.once.Do(func() { s.server, s.err = start(path) })
	daemon.Check(t, "start Redis", s.err)
	return s.server.Database(t)
}

// Stop ends the server, if it was started. Call it after the tests.
func (s *Shared) Stop() {
	if s.server != nil {
		s.server.Stop()
	}
}
