package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
)

func (a *app) projectionsCommand() *cobra.Command {
	var (
		place  databaseFlag
		asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "projections",
		Short: "List the projections of a database, and rebuild them",
		Long: "List the projections of the event store in a database: what they know (POSITION) of what is there (HORIZON), how many\n" +
			"positions they are behind at most (LAG), how old the first event is that they miss (AGE), and when they were last brought up\n" +
			"to date or found so, give or take some minutes (FOLLOWED).\n\n" +
			"States:\n" +
			"  active    lists are read from it\n" +
			"  building  it is being built beside the active one, or is the first\n" +
			"  retired   another one took its place; it is dropped when its grace is over\n" +
			"  stopped   it stands before an event that it cannot take, which is told below the table",
		Example: "  millrace projections --database data/orders.db\n" +
			"  DATABASE=postgres DATABASE_URL=postgres://shop@localhost/orders millrace projections --json\n" +
			"  millrace projections rebuild order-view --database data/orders.db",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			all, err := a.listProjections(cmd.Context(), place)
			if err != nil {
				return err
			}
			if asJSON {
				return printProjectionsJSON(a.stdout, all)
			}
			return printProjections(a.stdout, all)
		},
	}
	place.register(cmd.Flags())
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON object per generation of a projection and line")
	cmd.AddCommand(a.rebuildCommand())
	return cmd
}

// databaseFlag names the database that a command looks at.
type databaseFlag struct{ place string }

func (f *databaseFlag) register(flags *pflag.FlagSet) {
	flags.StringVar(&f.place, "database", "", "SQLite file, or URL of PostgreSQL (default $DATABASE_URL, of the kind $DATABASE)")
}

// config returns how to reach the database: by the flag, and for the rest by the variables that the functions read. A file must
// be there.
func (f *databaseFlag) config(lookup function.Lookup) (database.Config, error) {
	var c database.Config
	err := config.Load(func(key string) (string, bool) {
		switch {
		case f.place != "" && key == "DATABASE_URL":
			return f.place, true
		case f.place != "" && key == "DATABASE":
			return kindOf(f.place), true
		}
		return lookup(key)
	}, &c)
	if err != nil {
		return c, &hinted{err: err, code: exitUsage, try: "--database FILE, or --database postgres://…; millrace dev --data DIR keeps its files in DIR"}
	}
	if c.Kind != string(database.SQLite) {
		return c, nil
	}
	if _, err := os.Stat(c.URL.Reveal()); err != nil { // opening it would create it
		return c, &hinted{err: fmt.Errorf("the database cannot be read: %w", err), code: missingCode(err), try: "--database names another file"}
	}
	return c, nil
}

func kindOf(place string) string {
	if strings.HasPrefix(place, "postgres://") || strings.HasPrefix(place, "postgresql://") {
		return string(database.Postgres)
	}
	return string(database.SQLite)
}

func missingCode(err error) int {
	if errors.Is(err, fs.ErrNotExist) {
		return exitNothing
	}
	return exitFailed
}

// listProjections looks at the database of an order service, or of any other program, and creates nothing in it.
func (a *app) listProjections(ctx context.Context, place databaseFlag) ([]projection.Position, error) {
	c, err := place.config(a.lookup)
	if err != nil {
		return nil, err
	}
	db, err := database.Open(ctx, c)
	if err != nil {
		return nil, &hinted{err: err, code: exitUnreachable, try: "--database names another one"}
	}
	defer db.Close()
	exist, err := projection.Exist(ctx, db)
	if err != nil {
		return nil, err
	}
	var all []projection.Position
	if exist {
		all, err = positionsIn(ctx, db)
	}
	if err == nil && len(all) == 0 {
		err = &hinted{
			code: exitNothing, err: errors.New("the database has no projections"),
			try: "--database names another one; the function order-view makes one where it starts",
		}
	}
	return all, err
}

// positionsIn lists the projections of a database that has some, and so an event store.
func positionsIn(ctx context.Context, db *database.DB) ([]projection.Position, error) {
	store, err := eventstore.New(ctx, db, nil)
	if err != nil {
		return nil, err
	}
	return projection.List(ctx, db, store)
}

func printProjections(out io.Writer, all []projection.Position) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROJECTION\tSCHEMA\tGENERATION\tSTATE\tPOSITION\tHORIZON\tLAG\tAGE\tFOLLOWED")
	for _, p := range all {
		fmt.Fprintf(table, "%s\t%d\t%d\t%s\t%d\t%d\t%d\t%s\t%s ago\n", text.Escaped(p.Projection), p.Schema, p.Generation, state(p),
			p.Position, p.Horizon, p.Lag, age(p.Age), age(p.Unseen))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, p := range all {
		if p.Stopped != nil {
			printStop(out, p)
		}
	}
	return nil
}

func printStop(out io.Writer, p projection.Position) {
	s, event := p.Stopped, "an event that cannot be decoded"
	if s.EventID != "" {
		event = fmt.Sprintf("event %s (%s)", s.EventID, text.ShortType(s.EventType))
	}
	fmt.Fprintf(out, "\n%s, generation %d, stopped %s before %s:\n  version %d of stream %s, position %d\n  %s\n"+
		"Nothing is skipped. Correct the code, or add an upcaster, and start it: it goes on from there.\n",
		text.Escaped(p.Projection), p.Generation, s.Since.Format(time.RFC3339), text.Escaped(event),
		s.Version, text.Escaped(s.Stream), s.Position, text.Escaped(s.Reason))
}

// state is what matters most about p.
func state(p projection.Position) string {
	if p.Stopped != nil && p.State != projection.Retired {
		return "stopped"
	}
	return string(p.State)
}

// age is d as it reads well.
func age(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second).String()
}

type projectionJSON struct {
	Projection string           `json:"projection"`
	Schema     int              `json:"schema"`
	Generation int64            `json:"generation"`
	State      projection.State `json:"state"`
	Position   int64            `json:"position"`
	Horizon    int64            `json:"horizon"`
	Lag        int64            `json:"lag"`
	AgeMs      int64            `json:"ageMs"`
	FollowedMs int64            `json:"followedMsAgo"`
	// Stopped is null where it goes on.
	Stopped *projection.Stop `json:"stopped"`
}

func printProjectionsJSON(out io.Writer, all []projection.Position) error {
	var lines []byte
	for _, p := range all {
		var err error
		lines, err = text.AppendJSONLine(lines, projectionJSON{
			Projection: p.Projection, Schema: p.Schema, Generation: p.Generation, State: p.State, Position: p.Position,
			Horizon: p.Horizon, Lag: p.Lag, AgeMs: p.Age.Milliseconds(), FollowedMs: p.Unseen.Milliseconds(), Stopped: p.Stopped,
		})
		if err != nil {
			return err
		}
	}
	_, err := out.Write(lines)
	return err
}
