package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/runtime/database"
)

// generation is a row of millrace_projections.
type generation struct {
	number   int64
	name     string
	schema   int
	tables   []string
	position int64
	// built says that queries may read it, retired that another one took its place.
	built, retired bool
	// unseen is how long ago it was followed.
	unseen  time.Duration
	stopped *Stop
}

const selectGenerations = `
SELECT generation, name, schema, tables, position, built IS NOT NULL, retired IS NOT NULL, {now} - followed, stopped
FROM millrace_projections `

// querier is a database or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// dialect writes what databases say differently.
func dialect(kind database.Kind, statement string) string {
	if kind == database.SQLite {
		return strings.NewReplacer("{now}", "CAST(unixepoch('subsec') * 1000000 AS INTEGER)", "{lock}", "").Replace(statement)
	}
	return strings.NewReplacer("{now}", "(extract(epoch FROM statement_timestamp()) * 1000000)::bigint", "{lock}", "FOR UPDATE").Replace(statement)
}

// selected returns generations by the rest of a statement.
func selected(ctx context.Context, q querier, kind database.Kind, rest string, args ...any) ([]generation, error) {
	rows, err := q.QueryContext(ctx, dialect(kind, selectGenerations+rest), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []generation
	for rows.Next() {
		var g generation
		var tables string
		var stopped sql.NullString
		var unseen int64
		if err := rows.Scan(&g.number, &g.name, &g.schema, &tables, &g.position, &g.built, &g.retired, &unseen, &stopped); err != nil {
			return nil, err
		}
		g.tables, g.unseen = strings.Fields(tables), time.Duration(unseen)*time.Microsecond
		if stopped.Valid {
			g.stopped = &Stop{}
			if err := json.Unmarshal([]byte(stopped.String), g.stopped); err != nil {
				return nil, fmt.Errorf("generation %d of projection %s, column stopped: %w", g.number, g.name, err)
			}
		}
		all = append(all, g)
	}
	return all, rows.Err()
}

// current returns the generation of this schema that is active, and the one that is being built. nil: there is none.
func (p *Projection) current(ctx context.Context, q querier) (active, building *generation, err error) {
	all, err := selected(ctx, q, p.db.Kind(), "WHERE name = $1 AND schema = $2 ORDER BY generation", p.definition.Name, p.definition.Schema)
	if err != nil {
		return nil, nil, fmt.Errorf("look up the generations of projection %s: %w", p.definition.Name, err)
	}
	for i := range all {
		if all[i].built {
			active = &all[i]
		} else {
			building = &all[i]
		}
	}
	return active, building, nil
}

// need says when begin begins a generation.
type need bool

const (
	unlessThereIsOne need = false
	besideTheActive  need = true
)

// begin returns the active generation, or with besideTheActive the one that is being built. Where there is none, it returns
// the one that is being built, or begins one.
func (p *Projection) begin(ctx context.Context, n need) (g generation, err error) {
	found := func(q querier) (bool, error) {
		active, building, err := p.current(ctx, q)
		switch {
		case active != nil && n == unlessThereIsOne:
			g = *active
		case building != nil:
			g = *building
		default:
			return false, err
		}
		return true, nil
	}
	if ok, err := found(p.db.Read()); ok || err != nil {
		return g, err
	}
	err = p.alone(ctx, func(tx *sql.Tx) error {
		if ok, err := found(tx); ok || err != nil {
			return err
		}
		g = generation{name: p.definition.Name, schema: p.definition.Schema, tables: p.definition.Tables}
		const insert = `INSERT INTO millrace_projections (name, schema, tables, begun, followed) VALUES ($1, $2, $3, {now}, {now}) RETURNING generation`
		if err := tx.QueryRowContext(ctx, p.sql(insert), g.name, g.schema, strings.Join(g.tables, " ")).Scan(&g.number); err != nil {
			return err
		}
		return p.definition.Create(ctx, tx, p.tables(g))
	})
	if err != nil {
		return generation{}, fmt.Errorf("begin a generation of projection %s (schema %d): %w", p.definition.Name, p.definition.Schema, err)
	}
	return g, nil
}

// alone calls do in a transaction that keeps others from beginning and dropping generations. In PostgreSQL it holds an
// advisory lock, "millproj" in ASCII; in SQLite a transaction is alone.
func (p *Projection) alone(ctx context.Context, do func(tx *sql.Tx) error) error {
	return p.db.Transact(ctx, func(tx *sql.Tx) error {
		if p.db.Kind() == database.Postgres {
			if _, err := tx.ExecContext(ctx, "SELECT pg_advisory_xact_lock(x'6d696c6c70726f6a'::bigint)"); err != nil {
				return err
			}
		}
		return do(tx)
	})
}

// discard throws away what is being built.
func (p *Projection) discard(ctx context.Context) error {
	const unfinished = "WHERE name = $1 AND schema = $2 AND built IS NULL {lock}"
	err := p.alone(ctx, func(tx *sql.Tx) error {
		building, err := selected(ctx, tx, p.db.Kind(), unfinished, p.definition.Name, p.definition.Schema)
		for _, g := range building {
			err = errors.Join(err, p.drop(ctx, tx, g))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("throw away the unfinished generation of projection %s: %w", p.definition.Name, err)
	}
	return nil
}

// patience is how long dropping tables waits for queries that read them.
const patience = 2 * time.Second

// sweep drops generations whose grace is over, of this schema and of older ones.
func (p *Projection) sweep(ctx context.Context) error {
	const over = `WHERE name = $1 AND schema <= $2 AND retired < {now} - $3 AND followed < {now} - $3 ORDER BY generation`
	args := []any{p.definition.Name, p.definition.Schema, p.options.Grace.Microseconds()}
	old, err := selected(ctx, p.db.Read(), p.db.Kind(), over, args...)
	if err == nil && len(old) > 0 {
		bounded, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err = p.alone(bounded, func(tx *sql.Tx) error {
			// None of them can have come into use again; locking a row waits for those who are still at it.
			old, err := selected(bounded, tx, p.db.Kind(), over+" {lock}", args...)
			for _, g := range old {
				err = errors.Join(err, p.drop(bounded, tx, g))
			}
			return err
		})
		if bounded.Err() != nil && ctx.Err() == nil {
			return nil // a query takes long: another time
		}
	}
	if err != nil {
		return fmt.Errorf("drop generations of projection %s that are out of use: %w", p.definition.Name, err)
	}
	return nil
}

// drop drops a generation, whose row is locked, with its tables. Whoever wants to apply events to it waits, and then finds
// that it is gone.
func (p *Projection) drop(ctx context.Context, tx *sql.Tx, g generation) error {
	for _, table := range slices.Backward(newTables(p.db.Kind(), g.number, g.tables).all) {
		if !tableNames.MatchString(table) {
			return fmt.Errorf("generation %d names a table %q, which cannot be one", g.number, cut(table, maxTable))
		}
		if _, err := tx.ExecContext(ctx, "DROP TABLE IF EXISTS "+table); err != nil {
			return fmt.Errorf("drop table %s: %w", table, err)
		}
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM millrace_projections WHERE generation = $1", g.number)
	return err
}

// tables returns the tables of a generation of this schema.
func (p *Projection) tables(g generation) Tables {
	return newTables(p.db.Kind(), g.number, p.definition.Tables)
}

func (p *Projection) sql(statement string) string { return dialect(p.db.Kind(), statement) }
