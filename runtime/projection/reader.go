package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/millrace/millrace/runtime/database"
)

// Reader answers queries from the tables of a projection. It may be used from many goroutines, and needs nobody who
// follows the projection in this process.
type Reader struct {
	db         *database.DB
	definition Definition
}

// NewReader returns a reader of the projection's tables in db. It panics where the definition is no valid one: that is a
// mistake of the program, found when it starts.
func NewReader(db *database.DB, d Definition) *Reader {
	d, err := d.complete()
	if err != nil {
		panic(fmt.Sprintf("projection.NewReader: %v", err))
	}
	return &Reader{db: db, definition: d}
}

// Read calls query with the tables of the active generation, in a transaction that only reads and sees them as they are at
// one moment. Where there is no generation yet that these queries can read, the error is a [*NotBuiltError]; else it is that
// of query, or of the database. query is called again where it failed and another generation is active by now: its tables
// may have been dropped before it looked at them.
func (r *Reader) Read(ctx context.Context, query func(ctx context.Context, tx *sql.Tx, t Tables) error) error {
	for {
		used, err := r.read(ctx, query)
		if err == nil {
			return nil
		}
		if used == 0 {
			return r.unanswered(ctx, err)
		}
		if active, lookup := r.active(ctx, r.db.Read()); lookup != nil || active == used {
			return err
		}
	}
}

// read calls query once, and tells with which generation. 0: it was not called.
func (r *Reader) read(ctx context.Context, query func(ctx context.Context, tx *sql.Tx, t Tables) error) (used int64, err error) {
	o := &sql.TxOptions{ReadOnly: true}
	if r.db.Kind() == database.Postgres {
		o.Isolation = sql.LevelRepeatableRead
	}
	tx, err := r.db.Read().BeginTx(ctx, o)
	if err != nil {
		return 0, err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	number, err := r.active(ctx, tx)
	if err != nil {
		return 0, err
	}
	return number, query(ctx, tx, newTables(r.db.Kind(), number, r.definition.Tables))
}

// active returns the number of the active generation that these queries can read, the newest where there are several.
func (r *Reader) active(ctx context.Context, q interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}) (number int64, err error) {
	const statement = `
SELECT generation FROM millrace_projections WHERE name = $1 AND schema BETWEEN $2 AND $3 AND built IS NOT NULL
ORDER BY schema DESC, generation DESC LIMIT 1`
	err = q.QueryRowContext(ctx, statement, r.definition.Name, r.definition.ReadsSince, r.definition.Schema).Scan(&number)
	return number, err
}

// unanswered says why there is no active generation.
func (r *Reader) unanswered(ctx context.Context, err error) error {
	missing := errors.Is(err, sql.ErrNoRows)
	if !missing {
		exist, lookup := Exist(ctx, r.db)
		missing = lookup == nil && !exist
	}
	if missing {
		return &NotBuiltError{Projection: r.definition.Name, Schema: r.definition.Schema}
	}
	return fmt.Errorf("read projection %s: %w", r.definition.Name, err)
}
