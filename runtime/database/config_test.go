package database_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
)

func load(environment map[string]string) (database.Config, error) {
	var c database.Config
	err := config.Load(func(key string) (string, bool) { v, ok := environment[key]; return v, ok }, &c)
	return c, err
}

func TestConfig(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, kind, url, allow, want string }{
		{name: "sqlite by default", url: "shop.db"},
		{name: "a server for a file", url: "postgres://u:hunter2@db.example/db", want: "DATABASE_URL names a server: set DATABASE=postgres"},
		{name: "another server", kind: "sqlite", url: "mysql://u:hunter2@db.example/db", want: "DATABASE_URL names a server"},
		{name: "nowhere", want: "DATABASE_URL must be set"},
		{name: "unknown", kind: "redis", url: "redis://:hunter2@h", want: "DATABASE must be one of sqlite, postgres"},
		{name: "here", kind: "postgres", url: "postgres://u:hunter2@localhost/db"},
		{name: "verified", kind: "postgres", url: "postgres://u:hunter2@db.example/db?sslmode=verify-full"},
		{name: "plain", kind: "postgres", url: "postgres://u:hunter2@db.example/db", want: "must ask for TLS with a verified certificate"},
		{name: "plain on purpose", kind: "postgres", url: "postgres://u:hunter2@db.example/db", allow: "true"},
		{name: "garbled", kind: "postgres", url: "postgres://u:hunter2@h:port/db", want: "DATABASE_URL is no PostgreSQL URL"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{"DATABASE_URL": tc.url}
			if tc.kind != "" {
				environment["DATABASE"] = tc.kind
			}
			if tc.allow != "" {
				environment["DATABASE_ALLOW_PLAINTEXT"] = tc.allow
			}
			_, err := load(environment)
			text := fmt.Sprintf("%v %+v", err, err)
			if (err != nil) != (tc.want != "") || !strings.Contains(text, tc.want) || strings.Contains(text, "hunter2") {
				t.Errorf("error %v, want one with %q", err, tc.want)
			}
			if tc.want != "" {
				if _, err := database.Open(t.Context(), database.Config{Kind: tc.kind, URL: config.NewSecret(tc.url)}); err == nil {
					t.Error("opened nevertheless")
				}
			}
		})
	}
}

func TestOpenTellsWhere(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "shop.db")
	_, err := database.Open(t.Context(), database.Config{Kind: "sqlite", URL: config.NewSecret(path)})
	if err == nil || !strings.Contains(err.Error(), "DATABASE_URL: ") || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

func TestDurable(t *testing.T) {
	t.Parallel()
	for setting, want := range map[string]string{"": "2", "true": "2", "false": "0"} {
		c, err := load(map[string]string{"DATABASE_URL": filepath.Join(t.TempDir(), "x.db"), "DATABASE_DURABLE": setting})
		if err != nil {
			t.Fatal(err)
		}
		db, err := database.Open(t.Context(), c)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		var got string
		if err := db.Write().QueryRowContext(t.Context(), "PRAGMA synchronous").Scan(&got); err != nil || got != want {
			t.Errorf("DATABASE_DURABLE=%s: synchronous is %s, %v, want %s", setting, got, err, want)
		}
	}
}
