package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/order"
	orderview "github.com/millrace/millrace/functions/order-view"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

// orderService is the database of an order service, with what follows its view.
type orderService struct {
	place string
	view  *orderview.View
	db    *database.DB
	store *eventstore.Store
}

func openOrders(t *testing.T, kind database.Kind, place string) *orderService {
	t.Helper()
	c := database.Config{Kind: string(kind), URL: config.NewSecret(place)}
	view, err := orderview.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	db, err := database.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		view.Close()
		db.Close()
	})
	store, err := eventstore.New(t.Context(), db, nil)
	if err != nil {
		t.Fatal(err)
	}
	return &orderService{place, view, db, store}
}

// sqliteOrders are in a file.
func sqliteOrders(t *testing.T) *orderService {
	t.Helper()
	return openOrders(t, database.SQLite, filepath.Join(t.TempDir(), "orders.db"))
}

// order stores orders with the numbers from first to last.
func (s *orderService) order(t *testing.T, first, last int) {
	t.Helper()
	for n := first; n <= last; n++ {
		e, err := function.NewEvent(order.Created{OrderID: fmt.Sprint("o-", n), CustomerID: "c"})
		if err != nil {
			t.Fatal(err)
		}
		s.append(t, fmt.Sprint("order/o-", n), e)
	}
}

func (s *orderService) append(t *testing.T, stream string, e event.Event) {
	t.Helper()
	e.SetID("event of " + stream)
	e.SetSource("/order-service")
	if _, err := s.store.Append(t.Context(), eventstore.Write{Stream: stream, Events: []event.Event{e}}); err != nil {
		t.Fatal(err)
	}
}

func (s *orderService) catchUp(t *testing.T) error {
	t.Helper()
	return s.view.Projection().CatchUp(t.Context())
}

// columnsOf returns the columns of a line, one space between two.
func columnsOf(line string) string { return strings.Join(strings.Fields(line), " ") }

func TestProjections(t *testing.T) {
	t.Parallel()
	server := postgres.Start(t)
	for name, s := range map[string]*orderService{
		"sqlite": sqliteOrders(t), "postgres": openOrders(t, database.Postgres, server.Database(t)),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s.order(t, 1, 3)
			if err := s.catchUp(t); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(succeed(t, "", "projections", "--database", s.place), "\n")
			if got := columnsOf(lines[0]); got != "PROJECTION SCHEMA GENERATION STATE POSITION HORIZON LAG AGE FOLLOWED" {
				t.Errorf("head %q", got)
			}
			if got := columnsOf(lines[1]); !strings.HasPrefix(got, "order-view 1 1 active 3 3 0 - ") || !strings.HasSuffix(got, " ago") {
				t.Errorf("line %q", got)
			}
			s.order(t, 4, 8)
			var got projectionJSON
			if err := json.Unmarshal([]byte(succeed(t, "", "projections", "--json", "--database", s.place)), &got); err != nil {
				t.Fatal(err)
			}
			if got.Lag != 5 || got.AgeMs < 0 || got.Stopped != nil || got.State != projection.Active || got.Projection != "order-view" {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestProjectionsThatAreStopped(t *testing.T) {
	t.Parallel()
	s := sqliteOrders(t)
	s.order(t, 1, 1)
	e := event.New()
	e.SetType("dev.millrace.order.teleported.v1")
	s.append(t, "order/o-2", e)
	if err := s.catchUp(t); err == nil {
		t.Fatal("it is not stopped")
	}
	out := succeed(t, "", "projections", "--database", s.place)
	for _, want := range []string{
		"stopped", "event of order/o-2 (order.teleported.v1)", "version 1 of stream order/o-2, position 2", "is none of an order", "Nothing is skipped",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is not in\n%s", want, out)
		}
	}
	if out := succeed(t, "", "projections", "--json", "--database", s.place); !strings.Contains(out, `"stopped":{"stream":"order/o-2","version":1,"position":2,`) {
		t.Errorf("JSON %s", out)
	}
	code, _, stderr := pipe(t, "", "projections", "rebuild", "order-view", "--database", s.place)
	if code != exitFailed || !strings.Contains(stderr, "stopped before event") || !strings.Contains(stderr, "correct the code") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}

func TestProjectionsOfNoDatabase(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	empty := filepath.Join(folder, "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no file":      {[]string{"projections", "--database", filepath.Join(folder, "missing.db")}, exitNothing, "no such file"},
		"a folder":     {[]string{"projections", "--database", folder}, exitUnreachable, folder},
		"no tables":    {[]string{"projections", "--database", empty}, exitNothing, "has no projections"},
		"no server":    {[]string{"projections", "--database", "postgres://u:hunter2@127.0.0.1:1/db"}, exitUnreachable, "127.0.0.1:1"},
		"garbled":      {[]string{"projections", "--database", "postgres://u:hunter2@h:port/db"}, exitUsage, "DATABASE_URL"},
		"remote":       {[]string{"projections", "--database", "postgres://u:hunter2@db.example/db"}, exitUsage, "TLS"},
		"unknown kind": {[]string{"projections", "--database", "mysql://u:hunter2@db.example/db"}, exitUsage, "names a server"},
		"nothing said": {[]string{"projections"}, exitUsage, "--database FILE"},
		"misspelt":     {[]string{"projections", "rebuild", "order-veiw", "--database", empty}, exitUsage, "one of the closest, order-view"},
		"not there":    {[]string{"projections", "rebuild", "order-view", "--database", empty}, exitNothing, "has no projections"},
		"no name":      {[]string{"projections", "rebuild"}, exitUsage, "rebuild order-view"},
		"two names":    {[]string{"projections", "rebuild", "a", "b"}, exitUsage, "one projection"},
		"no such flag": {[]string{"projections", "--databse", "x"}, exitUsage, "databse"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := pipe(t, "", tc.args...)
			if code != tc.code || !strings.Contains(stderr, tc.says) || strings.Contains(stderr, "hunter2") {
				t.Errorf("exit code %d, want %d: %s", code, tc.code, stderr)
			}
		})
	}
	if info, err := os.Stat(empty); err != nil || info.Size() > 8192 { // the header of a database with a write-ahead log
		t.Errorf("something was created in it: %v, %v", info, err)
	}
}

func TestRebuild(t *testing.T) {
	t.Parallel()
	s := sqliteOrders(t)
	s.order(t, 1, 40)
	if err := s.catchUp(t); err != nil {
		t.Fatal(err)
	}
	out := succeed(t, "", "projections", "rebuild", "order-view", "--database", s.place)
	if !strings.HasPrefix(out, "order-view: generation 2 is at position 0 of 40 (0%)\n") || !strings.Contains(out, "generation 2 is active, at position 40, after ") {
		t.Errorf("it said %s", out)
	}
	out = succeed(t, "", "projections", "rebuild", "order-view", "--json", "--anew", "--database", s.place)
	if !strings.Contains(out, `{"projection":"order-view","generation":3,"position":40,"horizon":40,"done":true,"tookMs":`) {
		t.Errorf("it said %s", out)
	}
	out = succeed(t, "", "projections", "--database", s.place)
	for n, want := range []string{"order-view 1 1 retired 40", "order-view 1 2 retired 40", "order-view 1 3 active 40"} {
		if got := columnsOf(strings.Split(out, "\n")[n+1]); !strings.HasPrefix(got, want) {
			t.Errorf("line %q, want %q", got, want)
		}
	}
}

// A millrace that is older than what runs there builds nothing that nobody reads.
func TestRebuildOfANewerSchema(t *testing.T) {
	t.Parallel()
	s := sqliteOrders(t)
	if _, err := s.db.Write().ExecContext(t.Context(), "UPDATE millrace_projections SET schema = 1000"); err != nil {
		t.Fatal(err)
	}
	code, _, stderr := pipe(t, "", "projections", "rebuild", "order-view", "--database", s.place)
	if code != exitFailed || !strings.Contains(stderr, "schema 1000") || !strings.Contains(stderr, "the millrace of the release") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if out := succeed(t, "", "projections", "--database", s.place); strings.Count(out, "order-view") != 1 {
		t.Errorf("it has begun a generation: %s", out)
	}
}

// What an interrupted rebuild has built is thrown away only by --yes.
func TestRebuildAnew(t *testing.T) {
	t.Parallel()
	s := sqliteOrders(t)
	s.order(t, 1, 1200) // more than a batch
	if err := s.catchUp(t); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := s.view.Projection().Rebuild(ctx, &projection.RebuildOptions{Progress: func(p projection.Progress) {
		if p.Position > 0 {
			cancel()
		}
	}})
	if err == nil {
		t.Fatal("not interrupted")
	}
	code, _, stderr := pipe(t, "", "projections", "rebuild", "order-view", "--anew", "--database", s.place)
	if code != exitUsage || !strings.Contains(stderr, "would throw away what generation 2") || !strings.Contains(stderr, "--anew --yes") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	out := succeed(t, "", "projections", "rebuild", "order-view", "--anew", "--yes", "--database", s.place)
	if !strings.HasPrefix(out, "order-view: generation 3 is at position 0 of 1200") || !strings.Contains(out, "generation 3 is active") {
		t.Errorf("it said %s", out)
	}
}
