package eventstore_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
)

func load(environment map[string]string) (eventstore.Config, error) {
	var c eventstore.Config
	err := config.Load(func(key string) (string, bool) { v, ok := environment[key]; return v, ok }, &c)
	return c, err
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, store, url, allow, want string }{
		{name: "sqlite by default", url: "events.db"},
		{name: "nowhere", want: "EVENTSTORE_URL must be set"},
		{name: "unknown", store: "redis", url: "redis://:hunter2@h", want: "EVENTSTORE must be one of sqlite, postgres"},
		{name: "here", store: "postgres", url: "postgres://u:hunter2@localhost/db"},
		{name: "verified", store: "postgres", url: "postgres://u:hunter2@db.example/db?sslmode=verify-full"},
		{name: "plain", store: "postgres", url: "postgres://u:hunter2@db.example/db", want: "must ask for TLS with a verified certificate"},
		{name: "plain on purpose", store: "postgres", url: "postgres://u:hunter2@db.example/db", allow: "true"},
		{name: "garbled", store: "postgres", url: "postgres://u:hunter2@h:port/db", want: "EVENTSTORE_URL is no PostgreSQL URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{"EVENTSTORE_URL": tc.url}
			if tc.store != "" {
				environment["EVENTSTORE"] = tc.store
			}
			if tc.allow != "" {
				environment["EVENTSTORE_ALLOW_PLAINTEXT"] = tc.allow
			}
			_, err := load(environment)
			text := fmt.Sprintf("%v %+v", err, err)
			if (err != nil) != (tc.want != "") || !strings.Contains(text, tc.want) || strings.Contains(text, "hunter2") {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if tc.want != "" {
				if _, err := eventstore.Open(t.Context(), eventstore.Config{Store: tc.store, URL: config.NewSecret(tc.url)}, nil); err == nil {
					t.Error("opened nevertheless")
				}
			}
		})
	}
}

func TestOpen(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, kind eventstoretest.Kind) {
		c := eventstore.Config{Store: kind.Name, URL: config.NewSecret(kind.Place(t)), Connections: 2}
		store, err := eventstore.Open(t.Context(), c, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer store.Close()
		if _, err := store.Append(t.Context(), eventstoretest.Write("s", eventstore.NoStream, "1")); err != nil {
			t.Error(err)
		}
	})
}

func TestOpenTellsWhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "events.db")
	_, err := eventstore.Open(t.Context(), eventstore.Config{Store: "sqlite", URL: config.NewSecret(path)}, nil)
	if err == nil || !strings.Contains(err.Error(), "EVENTSTORE_URL: ") || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func TestUpcastersMustEnd(t *testing.T) {
	t.Parallel()
	for want, upcasters := range map[string][]eventstore.Upcaster{
		"in a circle":          {{From: "a", To: "b"}, {From: "b", To: "c"}, {From: "c", To: "a"}},
		"two upcasters from a": {{From: "a", To: "b"}, {From: "a", To: "c"}},
		"must be named":        {{From: "a"}},
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, kind eventstoretest.Kind) {
				_, err := kind.Open(t.Context(), kind.Place(t), &eventstore.Options{Upcasters: upcasters})
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("error %v, want one that says %q", err, want)
				}
			})
		})
	}
}
