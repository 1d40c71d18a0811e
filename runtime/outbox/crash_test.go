package outbox_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/outbox"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// relayProcess is the variable that makes the test binary a relay: kind and place of the database, address of the broker and
// lease, one in a line.
const relayProcess = "OUTBOX_TEST_RELAY"

// runRelay relays until the broker is gone.
func runRelay(order string) {
	parts := strings.Split(order, "\n")
	ctx := context.Background()
	db, err := database.Open(ctx, database.Config{Kind: parts[0], URL: config.NewSecret(parts[1]), Durable: true})
	if err != nil {
		panic(err)
	}
	lease, _ := time.ParseDuration(parts[3]) // as start writes it
	box, err := outbox.New(ctx, db, &outbox.Options{Lease: lease})
	if err != nil {
		panic(err)
	}
	conn, err := net.Dial("tcp", parts[2])
	if err != nil {
		panic(err)
	}
	answers := bufio.NewReader(conn)
	for {
		_, err := box.Relay(ctx, func(_ context.Context, topic string, events ...event.Event) []error {
			var lines strings.Builder
			for _, e := range events {
				fmt.Fprintf(&lines, "%s %s %s\n", topic, e.Extensions()["partitionkey"], e.ID())
			}
			if _, err := io.WriteString(conn, lines.String()+"\n"); err != nil {
				os.Exit(0)
			}
			if _, err := answers.ReadString('\n'); err != nil {
				os.Exit(0)
			}
			return nil
		})
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		time.Sleep(time.Millisecond)
	}
}

// remoteBroker is a broker for relays that are processes.
type remoteBroker struct {
	broker

	net.Listener

	// received is called with the number of events before they are acknowledged, or nil.
	received func(events int)
	serving  sync.WaitGroup
}

func newRemoteBroker(t *testing.T, received func(int)) *remoteBroker {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &remoteBroker{Listener: listener, received: received}
	b.serving.Go(func() {
		for {
			conn, err := b.Accept()
			if err != nil {
				return
			}
			b.serving.Go(func() { b.serve(conn) })
		}
	})
	t.Cleanup(func() {
		b.Close()
		b.serving.Wait()
	})
	return b
}

// serve takes the events of a relay: a line for each, an empty line at the end of a call.
func (b *remoteBroker) serve(conn net.Conn) {
	defer conn.Close()
	var topic string
	var events []event.Event
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 3 {
			topic = words[0]
			events = append(events, happened(words[1], words[2]))
			continue
		}
		b.publish(context.Background(), topic, events...)
		if b.received != nil {
			b.received(len(events))
		}
		events = nil
		if _, err := io.WriteString(conn, "ok\n"); err != nil {
			return
		}
	}
}

// start starts a relay that is a process. The function that is returned kills it.
func (b *remoteBroker) start(t *testing.T, s stage, lease time.Duration) (*os.Process, func()) {
	t.Helper()
	command := exec.Command(os.Args[0])
	order := []string{string(s.kind), s.place, b.Addr().String(), lease.String()}
	command.Env = append(os.Environ(), relayProcess+"="+strings.Join(order, "\n"))
	command.Stderr = os.Stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill := sync.OnceFunc(func() {
		_ = command.Process.Kill() // one that has ended needs none
		_ = command.Wait()         // tells of the signal
	})
	t.Cleanup(kill)
	return command.Process, kill
}

// Relays are killed again and again, and each event is published, in the order of its key.
func TestRelaysThatAreKilled(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		const keys, rounds, kills, lease = 20, 60, 8, time.Second
		progress := make(chan struct{}, 10*keys*rounds)
		b := newRemoteBroker(t, func(events int) {
			for range events {
				progress <- struct{}{}
			}
		})
		var running sync.WaitGroup
		running.Go(func() {
			for n := range rounds {
				for k := range keys {
					s.put(t, fmt.Sprintf("order-%d", k), strconv.Itoa(n))
				}
			}
		})
		_, killBystander := b.start(t, s, lease)
		for range kills {
			_, kill := b.start(t, s, lease)
			for range rand.N(keys * rounds / kills) {
				select {
				case <-progress:
				case <-time.After(2 * lease): // the last ones are with a relay that was killed
				}
			}
			kill()
		}
		running.Wait()
		killBystander()
		_, kill := b.start(t, s, lease)
		runtimetest.Eventually(t, "all is published", func() bool {
			stats, err := s.box.Stats(t.Context())
			return err == nil && stats.Waiting == 0
		})
		kill()
		repeated := 0
		for k := range keys {
			published := strings.Fields(b.ids(fmt.Sprintf("order-%d", k)))
			if problem := disorder(published, rounds); problem != "" {
				t.Errorf("order-%d: %s", k, problem)
			}
			repeated += len(published) - rounds
		}
		t.Logf("%d events, %d of them published again", keys*rounds, repeated)
	})
}
