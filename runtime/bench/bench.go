package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"sync/atomic"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

// bench measures figures on one cluster.
type bench struct {
	settings *settings
	cluster  *cluster
	// embedded is the broker of this program.
	embedded bool
	progress io.Writer
	profiles atomic.Int64
}

// section is what was measured on one cluster, or on none.
type section struct {
	title   string
	results []*result
	// clustered says that a broker took part.
	clustered bool
	// prefix goes before the names of figures in the lines for scripts.
	prefix string
}

// kinds are the figures, in the order in which they are measured.
var kinds = []struct {
	name  string
	begin func(*bench, context.Context) (*figure, error)
}{
	{"decode", (*bench).decoding},
	{"encode", (*bench).encoding},
	{"lambda", (*bench).invoking},
	{"start", (*bench).starting},
	{"append-sqlite", onDatabase((*bench).appending, database.SQLite)},
	{"append-postgres", onDatabase((*bench).appending, database.Postgres)},
	{"relay-sqlite", onDatabase((*bench).relaying, database.SQLite)},
	{"relay-postgres", onDatabase((*bench).relaying, database.Postgres)},
	{"consume", (*bench).consuming},
	{"lanes", (*bench).handling},
	{"produce", (*bench).producing},
	{"publish", (*bench).publishing},
	{"exactly-once", (*bench).transacting},
	{"poison", (*bench).poisoning},
	{"transactions", (*bench).limiting},
}

// alone are the figures that need no broker, real those that only a real one can show.
var (
	alone    = []string{"decode", "encode", "lambda", "start", "append-sqlite", "append-postgres", "relay-sqlite", "relay-postgres"}
	realOnly = []string{"transactions"}
)

// figures returns the names of all figures.
func figures() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// measure measures the figures that are asked for and that among holds.
func (b *bench) measure(ctx context.Context, among func(name string) bool) ([]*result, error) {
	var results []*result
	for _, k := range kinds {
		if !slices.Contains(b.settings.only, k.name) || !among(k.name) {
			continue
		}
		f, err := k.begin(b, ctx)
		if errors.Is(err, postgres.ErrMissing) {
			fmt.Fprintf(b.progress, "%s is skipped: %v\n", k.name, err)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, err)
		}
		r, err := f.run(ctx, b.rounds(k.name), b.progress)
		if f.close != nil {
			err = errors.Join(err, f.close())
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", k.name, errors.Join(err, context.Cause(ctx)))
		}
		results = append(results, r)
	}
	return results, nil
}

// rounds returns how many rounds a figure takes. Those of half a second get more of them: their ratios are noisy.
func (b *bench) rounds(figure string) int {
	switch figure {
	case "decode", "encode", "lambda", "start":
		return 3 * b.settings.rounds
	case "transactions":
		return 1
	default:
		return b.settings.rounds
	}
}

// onCluster measures what needs a broker.
func (b *bench) onCluster(ctx context.Context) (s *section, err error) {
	defer func() { err = errors.Join(err, b.cluster.close()) }()
	if err := b.cluster.connect(); err != nil {
		return nil, err
	}
	s = &section{title: "Embedded broker, in a process of its own", clustered: true}
	if !b.embedded {
		version, err := kafkaVersion(ctx, b.cluster.brokers)
		if err != nil {
			return nil, err
		}
		s.title = "Apache Kafka " + version
	}
	fmt.Fprintln(b.progress, s.title)
	s.results, err = b.measure(ctx, func(name string) bool {
		if b.embedded && slices.Contains(realOnly, name) {
			return false
		}
		return !slices.Contains(alone, name)
	})
	return s, err
}

// profileName returns the file for the next profile of a peer, or nothing where none is asked for.
func (b *bench) profileName(figure string, peer int) string {
	if b.settings.profiles == "" {
		return ""
	}
	kind := "kafka"
	if b.embedded {
		kind = "embedded"
	}
	return filepath.Join(b.settings.profiles, fmt.Sprintf("%s-%s-%d-%d.pprof", kind, figure, peer, b.profiles.Add(1)))
}
