package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
)

// Definition says what a projection is. It is a value; copy it freely.
type Definition struct {
	// Name is the projection's name, lower-case words with hyphens, at most 64 characters: "order-view".
	Name string
	// Schema is the version of this code, from 1 on. Raise it when Create or what Apply makes of events changes: a new
	// generation is then built beside the old one.
	Schema int
	// ReadsSince is the lowest schema whose tables the queries of this code can read, too. They do so until a generation of
	// Schema is built. Default: Schema, so that there are no answers until then.
	ReadsSince int
	// Tables are the names of the tables, lower-case words with underscores, at most 40 characters. The tables themselves have the
	// generation in their names: see [Tables].
	Tables []string
	// Create creates the tables, which do not exist, with their indexes. An index has a table's name in its own, as in
	// {orders}_by_customer.
	Create func(ctx context.Context, tx *sql.Tx, t Tables) error
	// Apply makes of the rows what they are after the event. It sees each event of the store once, in the order of positions, and
	// looks at nothing but the event and the tables, so that a rebuild makes the same rows. What does not concern it, it
	// leaves alone and returns nil. An error undoes what was done for the event, and stops the projection: see [StoppedError].
	// A batch that is disturbed is begun again, so Apply may be called again for an event whose rows were rolled back.
	Apply func(ctx context.Context, tx *sql.Tx, t Tables, e eventstore.Recorded) error
}

// The limits of names. A table's own name and the generation must fit the 63 bytes that PostgreSQL allows.
const (
	maxName  = 64
	maxTable = 40
)

var (
	names      = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	tableNames = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)
)

// complete returns d with its defaults filled in, or an error that names every field that cannot be.
func (d Definition) complete() (Definition, error) {
	if d.ReadsSince == 0 {
		d.ReadsSince = d.Schema
	}
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("projection %q: "+format, append([]any{d.Name}, args...)...))
	}
	if len(d.Name) > maxName || !names.MatchString(d.Name) {
		problem("Name must be lower-case words joined by hyphens, at most %d characters", maxName)
	}
	if d.Schema < 1 {
		problem("Schema is %d, must be 1 or more", d.Schema)
	}
	if d.ReadsSince < 1 || d.ReadsSince > d.Schema {
		problem("ReadsSince is %d, must be 1 to Schema", d.ReadsSince)
	}
	if len(d.Tables) == 0 {
		problem("Tables is empty")
	}
	for _, name := range d.Tables {
		if len(name) > maxTable || !tableNames.MatchString(name) {
			problem("table %q must be lower-case words joined by underscores, at most %d characters", name, maxTable)
		}
	}
	if d.Create == nil || d.Apply == nil {
		problem("Create and Apply must be set")
	}
	return d, errors.Join(problems...)
}

// Tables are the tables of one generation of a projection.
type Tables struct {
	kind  database.Kind
	names *strings.Replacer
	// all are the names that the tables have.
	all []string
}

func newTables(kind database.Kind, generation int64, names []string) Tables {
	t := Tables{kind: kind}
	var pairs []string
	for _, name := range names {
		table := name + "_" + strconv.FormatInt(generation, 10)
		t.all = append(t.all, table)
		pairs = append(pairs, "{"+name+"}", table)
	}
	t.names = strings.NewReplacer(pairs...)
	return t
}

// SQL returns a statement with the tables' names in the place of {name}.
func (t Tables) SQL(statement string) string { return t.names.Replace(statement) }

// Kind tells which kind of database the tables are in.
func (t Tables) Kind() database.Kind { return t.kind }
