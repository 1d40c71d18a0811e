//go:build unix

package outbox_test

import (
	"database/sql"
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// A relay that is stopped for longer than its lease, with an event at the broker, publishes nothing more when it goes on.
func TestARelayThatIsPaused(t *testing.T) {
	t.Parallel()
	each(t, nil, func(t *testing.T, s stage) {
		var paused sync.Once
		stop, proceed := make(chan struct{}), make(chan struct{})
		b := newRemoteBroker(t, func(int) {
			paused.Do(func() {
				close(stop)
				<-proceed
			})
		})
		err := s.db.Transact(t.Context(), func(tx *sql.Tx) error {
			return errors.Join(
				s.box.Put(t.Context(), tx, topic, happened("order-1", "1"), happened("order-1", "2")),
				s.box.Put(t.Context(), tx, "audit-events", happened("order-1", "1"), happened("order-1", "2")))
		})
		if err != nil {
			t.Fatal(err)
		}
		process, kill := b.start(t, s, 3*time.Second)
		<-stop
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		runtimetest.Eventually(t, "another relay takes over", func() bool { return s.relay(t, &b.broker) == 4 })
		if err := process.Signal(syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		close(proceed)
		s.put(t, "order-1", "3")
		runtimetest.Eventually(t, "what came later is published", func() bool { return strings.HasSuffix(b.ids("order-1"), "3") })
		kill()
		published := b.ids("order-1") + ", audit: " + b.of("audit-events", "order-1")
		if published != "1 1 2 3, audit: 1 2" && published != "1 2 3, audit: 1 1 2" {
			t.Errorf("published %s; only the one at the broker may be there twice", published)
		}
	})
}
