package breaker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/millrace/millrace/runtime/breaker"
)

func TestChangesAreToldInOrderAndLoggedOnceEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var (
			text    bytes.Buffer
			changes []string
		)
		o := &breaker.Options{
			Log: slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelDebug})),
			OnChange: func(c breaker.Change) {
				changes = append(changes, fmt.Sprintf("%s: %s to %s, %d, %t", c.Dependency, c.From, c.To, c.Failures, c.NextProbe.After(time.Now())))
			},
		}
		b := circuit(t, o)
		fail(t, b, 5)
		for range 1000 {
			_ = assertRefused(t, b)
		}
		time.Sleep(31 * time.Second)
		fail(t, b, 1)
		time.Sleep(31 * time.Second)
		for range 3 {
			_ = b.Do(t.Context(), succeeding)
		}
		want := []string{
			"smtp: closed to open, 5, true", "smtp: open to half-open, 0, false", "smtp: half-open to open, 1, true",
			"smtp: open to half-open, 0, false", "smtp: half-open to closed, 0, false",
		}
		if strings.Join(changes, "\n") != strings.Join(want, "\n") {
			t.Errorf("changes\n%s", strings.Join(changes, "\n"))
		}
		if lines := strings.Count(text.String(), "\n"); lines != len(want) {
			t.Errorf("%d lines for %d changes:\n%s", lines, len(want), &text)
		}
		for _, part := range []string{"level=WARN msg=\"circuit opened", "dependency=smtp", "failures=5", "connection refused", "probe_after=30s"} {
			if first, _, _ := strings.Cut(text.String(), "\n"); !strings.Contains(first, part) {
				t.Errorf("%q is not in %s", part, first)
			}
		}
	})
}

func TestASetIsBoundedAndSaysSoOnce(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	set := breaker.NewSet(&breaker.Options{Log: slog.New(slog.NewTextHandler(&text, nil)), FailureThreshold: 1})
	var calls int
	for i := range 100_000 {
		err := set.Do(t.Context(), fmt.Sprintf("dependency %06d", i), func(context.Context) error { calls++; return errRefused })
		if !errors.Is(err, errRefused) {
			t.Fatalf("call %d: %v", i, err)
		}
	}
	if calls != 100_000 {
		t.Errorf("%d calls went through: a dependency without a circuit must not be refused", calls)
	}
	if n := len(set.States()); n != breaker.MaxCircuits {
		t.Errorf("%d circuits, want %d", n, breaker.MaxCircuits)
	}
	if n := strings.Count(text.String(), "no room for another circuit"); n != 1 {
		t.Errorf("told %d times that the set is full", n)
	}
	for _, name := range []string{"", strings.Repeat("x", 101)} {
		if _, ok := breaker.NewSet(quiet()).Breaker(name); ok {
			t.Errorf("a circuit for a name of %d bytes", len(name))
		}
	}
}

func TestOneCircuitForEachDependency(t *testing.T) {
	t.Parallel()
	set := breaker.NewSet(quiet())
	for range 5 {
		_ = set.Do(t.Context(), "smtp", failing)
		_ = set.Do(t.Context(), "db", succeeding)
	}
	if states := set.States(); len(states) != 2 || states["smtp"] != "open" || states["db"] != "closed" {
		t.Errorf("states %v", states)
	}
	stats := set.Stats()
	if stats[0].Dependency != "db" || stats[1].Dependency != "smtp" || stats[1].Openings != 1 {
		t.Errorf("stats %+v", stats)
	}
}

func TestOptionsOutOfBoundsAreMovedIntoThem(t *testing.T) {
	t.Parallel()
	o := quiet()
	o.FailureThreshold, o.SuccessThreshold, o.RecoveryTimeout, o.MonitoringPeriod = -1, 1<<40, -1, -1
	b := circuit(t, o)
	fail(t, b, breaker.DefaultFailureThreshold)
	assertState(t, b, breaker.Open)
	if open := assertRefused(t, b); open.After < breaker.DefaultRecoveryTimeout/2 {
		t.Errorf("again after %s", open.After)
	}
}
