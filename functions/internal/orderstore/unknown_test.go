package orderstore_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

// The answer to a commit is lost, so nobody knows whether the change was stored. It was, and asking for it again with the
// same cause is safe.
func TestAnAnswerThatIsLost(t *testing.T) {
	t.Parallel()
	place, err := url.Parse(server.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	line := newLine(t, place.Host)
	place.Host = line.Addr().String()
	s := open(t, database.Config{Kind: "postgres", URL: config.NewSecret(place.String()), Connections: 4})

	line.cut.Store(true)
	request := orderstore.Cause{Key: "POST /orders 1"}
	_, err = s.Change(t.Context(), "1", request, create, nil)
	var unavailable *function.UnavailableError
	if !errors.As(err, &unavailable) || line.cut.Load() {
		t.Fatalf("got %v, want the error of a connection that broke after the commit", err)
	}
	o, err := s.Change(t.Context(), "1", request, create, nil)
	if err != nil || o.Status() != order.Pending || o.Version != 1 {
		t.Errorf("%s in version %d, %v", o.Status(), o.Version, err)
	}
	if got := types(published(t, s)); !cmp.Equal(got, []string{fact.CreatedType}) {
		t.Errorf("published %v", got)
	}
}

// line carries connections to a server of PostgreSQL.
type line struct {
	net.Listener

	// cut says that the answer to the next commit is to be lost, with its connection.
	cut atomic.Bool
}

func newLine(t *testing.T, server string) *line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &line{Listener: listener}
	var calls sync.WaitGroup
	calls.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			calls.Go(func() { l.carry(client, server) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		calls.Wait()
	})
	return l
}

// carry carries what is said in both directions, until one side has hung up.
func (l *line) carry(client net.Conn, address string) {
	defer client.Close()
	server, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var lost atomic.Bool
	var answers sync.WaitGroup
	answers.Go(func() {
		buffer := make([]byte, 32<<10)
		for {
			n, err := server.Read(buffer)
			if err != nil || lost.Load() {
				client.Close()
				return
			}
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
	})
	l.ask(client, server, &lost)
	if !lost.Load() {
		server.Close()
	}
	answers.Wait()
	server.Close()
}

// ask carries requests to the server. The answer to one that is to be cut is lost.
func (l *line) ask(client io.Reader, server io.Writer, lost *atomic.Bool) {
	buffer := make([]byte, 32<<10)
	for {
		n, err := client.Read(buffer)
		if err != nil {
			return
		}
		if bytes.Contains(buffer[:n], []byte("commit\x00")) && l.cut.CompareAndSwap(true, false) {
			lost.Store(true)
		}
		if _, err := server.Write(buffer[:n]); err != nil || lost.Load() {
			return
		}
	}
}
