package idempotency_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/uuid"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/idempotency"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
	"github.com/millrace/millrace/runtime/runtimetest/redis"
)

// The environment of a child process that kills itself: which store, where, and at which moment.
const (
	dieKind  = "MILLRACE_TEST_DIE_KIND"
	diePlace = "MILLRACE_TEST_DIE_PLACE"
	dieAt    = "MILLRACE_TEST_DIE_AT"
)

func die() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	panic(err)
}

// dying is a sink whose process dies when it publishes.
type dying struct{}

func (dying) Send(context.Context, ...pipeline.Output) error {
	die()
	return nil
}

// TestDie is no test but the child process of TestAProcessThatDies.
func TestDie(t *testing.T) { //nolint:paralleltest // it is alone in its process
	at := os.Getenv(dieAt)
	if at == "" {
		t.Skip("the child process of another test")
	}
	for _, k := range shared {
		if k.name == os.Getenv(dieKind) {
			l := &line{}
			l.wire(t, inTransaction(k.opened(t, os.Getenv(diePlace), retention)), dying{})
			l.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
				check(t, "effect", effect(ctx, e))
				if at == "handler" {
					die()
				}
				return answer(ctx, e)
			}
			l.Handle(t.Context(), delivery("a"))
		}
	}
	t.Fatal("it did not die")
}

// A process dies by SIGKILL in the midst of an event; another handles the event again. The effect is there once.
func TestAProcessThatDies(t *testing.T) {
	t.Parallel()
	for at, want := range map[string]struct{ effects, calls int }{
		"handler": {effects: 0, calls: 1}, // the transaction died with it
		"publish": {effects: 1, calls: 0}, // all that is left to do is to publish
	} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			for _, k := range shared[:2] {
				t.Run(k.name, func(t *testing.T) {
					t.Parallel()
					place := k.place(t)
					l := &ledger{store: k.opened(t, place, retention)}
					l.line = newLine(t, inTransaction(l.store))
					l.within(t, "CREATE TABLE effects (id text)")

					child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestDie$", "-test.v")
					child.Env = append(os.Environ(), dieKind+"="+k.name, diePlace+"="+place, dieAt+"="+at)
					output, err := child.CombinedOutput()
					if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != -1 {
						t.Fatalf("the child ended with %v, not by a signal:\n%s", err, output)
					}
					l.wantEffects(t, want.effects)

					l.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
						check(t, "effect", effect(ctx, e))
						return answer(ctx, e)
					}
					d := delivery("a")
					runtimetest.Eventually(t, "the event handled by another", func() bool {
						_, finished := l.Handle(t.Context(), d)
						return finished
					})
					if d.Crashed != want.calls {
						t.Errorf("%d calls are known to have crashed, want %d", d.Crashed, want.calls)
					}
					l.wantEffects(t, 1)
					l.wantSent(t, 1)
					if l.calls != want.calls {
						t.Errorf("%d more calls of the handler, want %d", l.calls, want.calls)
					}
				})
			}
		})
	}
}

// A server is killed and started again. While it is away records wait; afterwards it knows what it knew.
func TestAServerThatIsRestarted(t *testing.T) {
	t.Parallel()
	type server interface {
		Kill()
		Start() error
		Database(t testing.TB) string
	}
	for name, start := range map[string]func(t testing.TB) server{
		"postgres": func(t testing.TB) server { return postgres.Start(t) },
		"redis":    func(t testing.TB) server { return redis.Start(t) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := start(t)
			var store idempotency.Store
			for _, k := range shared {
				if k.name == name {
					store = k.opened(t, server.Database(t), retention)
				}
			}
			l := newLine(t, on(store))
			if _, finished := l.Handle(t.Context(), delivery("a")); !finished {
				t.Fatal(l.last.Err)
			}
			held := idempotency.Key{Function: "ship", Source: "/test", ID: "held"}
			token := claim(t, store, held, lease)

			server.Kill()
			d := delivery("b")
			if _, finished := l.Handle(t.Context(), d); finished || l.last.Verdict != function.Broken || d.Attempts != 0 {
				t.Errorf("while the server is away: finished %t, %d attempts, %s: %v", finished, d.Attempts, l.last.Verdict, l.last.Err)
			}
			check(t, "start again", server.Start())

			runtimetest.Eventually(t, "connections", func() bool { // those of the server that was are found to be dead
				_, err := store.Claim(t.Context(), order, uuid.New(), time.Millisecond)
				return err == nil
			})
			if _, finished := l.Handle(t.Context(), delivery("a")); !finished || l.calls != 1 {
				t.Errorf("what was published: finished %t after %d calls: %v", finished, l.calls, l.last.Err)
			}
			if _, finished := l.Handle(t.Context(), d); !finished || l.calls != 2 {
				t.Errorf("what waited: finished %t after %d calls: %v", finished, l.calls, l.last.Err)
			}
			check(t, "complete a claim from before", store.Complete(t.Context(), held, token, nil))
		})
	}
}

// The server dies while a handler runs in its transaction: nothing of it is left, and no attempt is spent on it.
func TestAServerThatDiesWithinATransaction(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	l := &ledger{store: shared[1].opened(t, server.Database(t), retention)}
	l.line = newLine(t, inTransaction(l.store))
	l.within(t, "CREATE TABLE effects (id text)")
	l.handle = func(ctx context.Context, e event.Event) ([]event.Event, error) {
		check(t, "effect", effect(ctx, e))
		if l.calls == 1 {
			server.Kill()
		}
		return answer(ctx, e)
	}
	d := delivery("a")
	if _, finished := l.Handle(t.Context(), d); finished || l.last.Verdict != function.Broken || d.Attempts != 0 || len(l.sent) > 0 {
		t.Errorf("finished %t, %d attempts, %s: %v", finished, d.Attempts, l.last.Verdict, l.last.Err)
	}
	check(t, "start again", server.Start())
	runtimetest.Eventually(t, "the event handled", func() bool { // connections of the server that was are found to be dead
		_, finished := l.Handle(t.Context(), d)
		return finished
	})
	if l.calls != 2 || d.Attempts != 1 {
		t.Errorf("%d calls of the handler, %d attempts, want 2 and 1", l.calls, d.Attempts)
	}
	l.wantEffects(t, 1)
	l.wantSent(t, 1)
}

// The clock of a process in a bubble of synctest stands at the year 2000. Neither it nor one of today takes the other's
// claim for expired, nor what the other has completed.
func TestClocksThatDiffer(t *testing.T) {
	t.Parallel()
	for _, k := range shared[1:] { // SQLite's clock is that of the one machine
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			place := k.place(t)
			today := k.opened(t, place, retention)
			early, late := idempotency.Key{ID: "early"}, idempotency.Key{ID: "late"}
			claim(t, today, late, lease)
			wantHeld := func(store idempotency.Store, key idempotency.Key) {
				t.Helper()
				_, err := store.Claim(context.Background(), key, uuid.New(), lease)
				held, ok := errors.AsType[*idempotency.HeldError](err)
				if !ok || held.Remaining <= 0 || held.Remaining > lease {
					t.Errorf("claim of %s: %v", key, err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				past, err := k.open(t.Context(), place, retention)
				check(t, "open", err)
				defer past.Close()
				wantHeld(past, late)
				claim(t, past, early, lease)
			})
			wantHeld(today, early)
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	for _, k := range shared {
		t.Run(k.name, func(t *testing.T) {
			t.Parallel()
			place := map[string]string{
				"sqlite":   t.TempDir() + "/absent/store.db",
				"postgres": "postgres://millrace:hunter2@127.0.0.1:1/db?sslmode=disable",
				"redis":    "redis://millrace:hunter2@127.0.0.1:1/0",
			}[k.name]
			config := idempotency.Config{Store: k.name, Retention: retention, Connections: 1}
			check(t, "URL", config.URL.UnmarshalText([]byte(place)))
			_, err := idempotency.Open(t.Context(), config, slog.New(slog.DiscardHandler))
			wantError(t, err, "IDEMPOTENCY_URL")
		})
	}
}
