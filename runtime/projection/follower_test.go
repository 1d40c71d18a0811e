package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/projection"
)

func isNotBuilt(err error) bool {
	_, ok := errors.AsType[*projection.NotBuiltError](err)
	return ok
}

// The variables that make a process of this test program one that follows and rebuilds the ledger until it is killed.
const followerKind, followerURL = "PROJECTION_TEST_KIND", "PROJECTION_TEST_URL"

// follower follows and rebuilds in the place that the environment names, if it names one. It does not return then.
func follower() {
	p := place{database.Kind(os.Getenv(followerKind)), os.Getenv(followerURL)}
	if p.kind == "" {
		return
	}
	ctx := context.Background()
	if err := p.rebuildForEver(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func (p place) rebuildForEver(ctx context.Context) error {
	db, store, err := p.open(ctx, &eventstore.Options{})
	if err != nil {
		return err
	}
	view, err := projection.New(ctx, db, store, ledger(), &projection.Options{Batch: 10, Grace: 50 * time.Millisecond})
	if err != nil {
		return err
	}
	fmt.Println("following")
	for {
		if err := view.Rebuild(ctx, nil); err != nil {
			return err
		}
		if err := view.Chore().Run(ctx, nil); err != nil { // which drops what is old
			return err
		}
	}
}

// Processes that rebuild are killed at any moment, again and again. Queries are answered all the time, each event is applied once,
// and nothing is left behind.
func TestKilledInMidRebuild(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		const kills, events = 12, 500
		s := p.opened(t, nil)
		for i := range events {
			s.append(t, fmt.Sprint("s-", i%5), fmt.Sprint(i))
		}
		view := s.project(t, ledger(), &projection.Options{Grace: 50 * time.Millisecond})
		mustCatchUp(t, view)
		for i := range kills {
			kill := p.startFollower(t)
			time.Sleep(rand.N(150 * time.Millisecond)) // anywhere in a rebuild
			s.append(t, "s-0", fmt.Sprint("meanwhile ", i))
			kill()
			got, err := lines(t.Context(), projection.NewReader(s.db, ledger()))
			if err != nil || len(got) < events {
				t.Fatalf("%d lines, %v after a kill", len(got), err)
			}
		}
		mustCatchUp(t, view)
		s.check(t, ledger())
		if err := view.Rebuild(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		s.check(t, ledger())
		deadline := time.Now().Add(30 * time.Second)
		for len(s.tables(t)) > 2 && time.Now().Before(deadline) {
			if err := run(t, view); err != nil {
				t.Fatal(err)
			}
		}
		if names := s.tables(t); len(names) != 2 {
			t.Errorf("tables that are left: %q", names)
		}
		s.check(t, ledger())
	})
}

// startFollower starts a process that follows, and returns what kills it.
func (p place) startFollower(t *testing.T) (kill func()) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), followerKind+"="+string(p.kind), followerURL+"="+p.url)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 1)); err != nil { // it says that it follows
		t.Fatalf("the follower did not start: %v", err)
	}
	return func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Errorf("it ended by itself: %v", err)
		}
		_ = cmd.Wait() // killed
	}
}
