package eventstore_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

// The server crashes while many write, and each repeats its append until it knows that it is stored. Each event is stored
// once, in its order, and a reader that followed saw them all.
func TestAServerThatCrashes(t *testing.T) {
	t.Parallel()
	const writers, events = 8, 60
	server := postgres.Start(t)
	kind := eventstoretest.Postgres(server.Database)
	s := kind.New(t)

	progress := make(chan struct{}, writers*events)
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			stream := fmt.Sprintf("s-%d", w)
			for n := range int64(events) {
				insist(t, s, eventstoretest.Write(stream, eventstore.Exactly(n), fmt.Sprintf("%d-%d", w, n)))
				progress <- struct{}{}
			}
		})
	}
	seen := make(chan map[string]int64, 1)
	go func() { seen <- followed(t, s, writers*events) }()
	for range 2 {
		for range writers * events / 4 {
			<-progress
		}
		server.Restart(t)
	}
	writing.Wait()
	for stream, version := range <-seen {
		if version != events {
			t.Errorf("%s has %d events, want %d", stream, version, events)
		}
	}
}

// insist appends until it is done, for a minute at most.
func insist(t *testing.T, s *eventstore.Store, w eventstore.Write) {
	for deadline := time.Now().Add(time.Minute); ; {
		_, err := s.Append(t.Context(), w)
		if err == nil {
			return
		}
		// What is not of the database, a conflict for instance, says so in other words.
		if text := err.Error(); time.Now().After(deadline) || !strings.HasPrefix(text, "append to stream "+w.Stream) {
			t.Error(err)
			return
		}
		time.Sleep(time.Millisecond) // until the server is back
	}
}

// followed reads until it has seen so many events, and returns the versions of their streams.
func followed(t *testing.T, s *eventstore.Store, events int) map[string]int64 {
	versions, after := map[string]int64{}, int64(0)
	deadline := time.Now().Add(2 * time.Minute)
	for count := 0; count < events; {
		page, _ := s.ReadAll(t.Context(), after, 20) // where the server is away there is no page
		for _, r := range page {
			if versions[r.Stream]++; versions[r.Stream] != r.Version {
				t.Errorf("stream %s: version %d comes where %d is due", r.Stream, r.Version, versions[r.Stream])
			}
			after = r.Position
			count++
		}
		if time.Now().After(deadline) {
			t.Errorf("saw %d events of %d", count, events)
			break
		}
	}
	return versions
}
