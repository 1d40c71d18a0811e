package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	orderview "github.com/millrace/millrace/functions/order-view"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/projection"
)

// followed is a projection of an open database.
type followed interface {
	Projection() *projection.Projection
	io.Closer
}

// code is what there is of a projection in this program.
type code struct {
	schema int
	open   func(context.Context, database.Config) (followed, error)
}

// projections is the code that there is, by the names of projections.
var projections = map[string]code{
	orderview.Spec.Name: {
		orderview.Schema(), func(ctx context.Context, c database.Config) (followed, error) { return orderview.Open(ctx, c) },
	},
}

// rebuild is the command that rebuilds a projection.
type rebuild struct {
	*app

	place           databaseFlag
	anew, yes, json bool
}

func (a *app) rebuildCommand() *cobra.Command {
	r := &rebuild{app: a}
	cmd := &cobra.Command{
		Use:   "rebuild NAME",
		Short: "Build a projection anew beside the active one, and switch",
		Long: "Build a projection anew from all events, in tables of its own, and switch to it when it has caught up. Lists are read\n" +
			"from the active one until then, and go on at once from the new one. The old tables are dropped some minutes later.\n\n" +
			"When it is interrupted, the function that follows the projection goes on with it, and so does the next rebuild. With --anew\n" +
			"what was built so far is thrown away; where there is some, that needs --yes.",
		Example: "  millrace projections rebuild order-view --database data/orders.db\n" +
			"  millrace projections rebuild order-view --anew --yes --json",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return &usageError{fmt.Errorf("rebuild takes the name of one projection, as in: millrace projections rebuild %s", orderview.Spec.Name)}
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args[0]) },
	}
	r.place.register(cmd.Flags())
	cmd.Flags().BoolVar(&r.anew, "anew", false, "begin anew, not where an interrupted rebuild ended")
	cmd.Flags().BoolVar(&r.yes, "yes", false, "throw away what --anew would throw away")
	cmd.Flags().BoolVar(&r.json, "json", false, "print progress as a JSON object per line")
	return cmd
}

func (r *rebuild) run(ctx context.Context, name string) error {
	known, ok := projections[name]
	if !ok {
		names := slices.Collect(maps.Keys(projections))
		return &hinted{
			err: fmt.Errorf("there is no code of a projection %q here", name), code: exitUsage,
			try: "one of the closest, " + strings.Join(cluster.Closest(name, names, 3), ", ") + "; millrace projections lists those of a database",
		}
	}
	all, err := r.listProjections(ctx, r.place) // before anything is created in a database of others
	if err != nil {
		return err
	}
	if err := r.check(name, known.schema, all); err != nil {
		return err
	}
	c, err := r.place.config(r.lookup)
	if err != nil {
		return err
	}
	view, err := known.open(ctx, c)
	if err != nil {
		return err
	}
	defer view.Close()
	p := progress{out: r.stdout, name: name, json: r.json, began: time.Now()}
	return view.Projection().Rebuild(ctx, &projection.RebuildOptions{Anew: r.anew, Progress: p.tell})
}

// check refuses what would throw away something that nobody said may be, and what nobody would read.
func (r *rebuild) check(name string, schema int, all []projection.Position) error {
	if !slices.ContainsFunc(all, func(p projection.Position) bool { return p.Projection == name }) {
		return &hinted{
			err: fmt.Errorf("the database has no projection %s", name), code: exitNothing,
			try: "--database names another one; millrace projections lists those of a database",
		}
	}
	for _, p := range all {
		if p.Projection == name && p.Schema > schema {
			return &hinted{
				err: fmt.Errorf("%s has schema %d there, and this millrace builds schema %d, which nobody would read", name, p.Schema, schema),
				try: "the millrace of the release that runs there",
			}
		}
		if p.Projection == name && p.State == projection.Building && p.Position > 0 && r.anew && !r.yes {
			return &hinted{
				err: fmt.Errorf("--anew would throw away what generation %d of %s has built: position %d of %d", p.Generation, name, p.Position, p.Horizon),
				try: "--anew --yes, or neither to go on from there", code: exitUsage,
			}
		}
	}
	return nil
}

// progress prints how far a rebuild is, at most once a second.
type progress struct {
	out  io.Writer
	name string
	json bool

	began, told time.Time
	// first is the position that it went on from.
	first   int64
	started bool
}

type progressJSON struct {
	Projection string `json:"projection"`
	Generation int64  `json:"generation"`
	Position   int64  `json:"position"`
	Horizon    int64  `json:"horizon"`
	Done       bool   `json:"done"`
	TookMs     int64  `json:"tookMs"`
}

func (p *progress) tell(now projection.Progress) {
	if !p.started {
		p.started, p.first = true, now.Position
	}
	if !now.Done && time.Since(p.told) < time.Second {
		return
	}
	p.told = time.Now()
	took := time.Since(p.began)
	if p.json {
		line, err := text.AppendJSONLine(nil, progressJSON{p.name, now.Generation, now.Position, now.Horizon, now.Done, took.Milliseconds()})
		if err == nil {
			_, _ = p.out.Write(line) // the rebuild matters more than who watches it
		}
		return
	}
	if now.Done {
		fmt.Fprintf(p.out, "%s: generation %d is active, at position %d, after %s\n", p.name, now.Generation, now.Position, took.Round(time.Millisecond))
		return
	}
	fmt.Fprintf(p.out, "%s: generation %d is at position %d of %d (%d%%)%s\n", p.name, now.Generation, now.Position, now.Horizon,
		100*now.Position/max(now.Horizon, 1), p.left(now, took))
}

// left says how long it will take at the speed so far.
func (p *progress) left(now projection.Progress, took time.Duration) string {
	done := now.Position - p.first
	if done <= 0 || took < time.Second {
		return ""
	}
	speed := float64(done) / took.Seconds()
	return fmt.Sprintf(", %.0f a second, %s left", speed, time.Duration(float64(now.Horizon-now.Position)/speed*float64(time.Second)).Round(time.Second))
}
