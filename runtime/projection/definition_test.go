package projection_test

import (
	"context"
	"database/sql"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/projection"
)

func TestDefinitionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for says, change := range map[string]func(*projection.Definition){
		"Name":       func(d *projection.Definition) { d.Name = "Not good" },
		"Schema":     func(d *projection.Definition) { d.Schema = 0 },
		"ReadsSince": func(d *projection.Definition) { d.ReadsSince = 2 },
		"Tables":     func(d *projection.Definition) { d.Tables = nil },
		"table":      func(d *projection.Definition) { d.Tables = []string{"a; DROP TABLE b"} },
		"at most":    func(d *projection.Definition) { d.Tables = []string{strings.Repeat("a", 41)} },
		"Create":     func(d *projection.Definition) { d.Create = nil },
		"Apply":      func(d *projection.Definition) { d.Apply = nil },
	} {
		t.Run(says, func(t *testing.T) {
			t.Parallel()
			d := ledger()
			change(&d)
			if _, err := projection.New(t.Context(), nil, nil, d, nil); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v", err)
			}
			defer func() {
				if recover() == nil {
					t.Error("a reader was made of it")
				}
			}()
			projection.NewReader(nil, d)
		})
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	t.Parallel()
	for says, o := range map[string]projection.Options{
		"Batch": {Batch: 1001}, "BatchTime": {BatchTime: -1}, "Every": {Every: -time.Second}, "Grace": {Grace: -1},
	} {
		if _, err := projection.New(t.Context(), nil, nil, ledger(), &o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v", says, err)
		}
	}
}

// Tables that cannot be created leave no generation behind.
func TestTablesThatCannotBeCreated(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		d := ledger()
		d.Tables = []string{"other"} // so that {ledger_lines} stays as it is, which is no name
		if _, err := projection.New(t.Context(), s.db, s.store, d, nil); err == nil || !strings.Contains(err.Error(), "ledger") {
			t.Errorf("error %v", err)
		}
		if names := s.tables(t); len(names) != 0 {
			t.Errorf("tables %q", names)
		}
		view := s.project(t, ledger(), nil)
		if at, err := view.Positions(t.Context()); err != nil || len(at) != 1 {
			t.Errorf("at %+v, %v", at, err)
		}
	})
}

// A list of projections creates nothing.
func TestExist(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		check := func(want bool) {
			t.Helper()
			if got, err := projection.Exist(t.Context(), s.db); got != want || err != nil {
				t.Errorf("exist %v, %v", got, err)
			}
		}
		check(false)
		check(false)
		one, other := ledger(), ledger()
		other.Name = "another-ledger"
		s.project(t, one, nil)
		check(true)
		s.append(t, "s", "a")
		s.project(t, other, nil)
		all, err := projection.List(t.Context(), s.db, s.store)
		if err != nil || len(all) != 2 || all[0].Projection != "another-ledger" || all[0].State != projection.Building ||
			all[1].Projection != "ledger" || all[1].State != projection.Active || all[1].Lag != 1 {
			t.Errorf("the list is %+v, %v", all, err)
		}
	})
}

func TestTables(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, p place) {
		s := p.opened(t, nil)
		d := ledger()
		create := d.Create
		d.Create = func(ctx context.Context, tx *sql.Tx, tables projection.Tables) error {
			if got := tables.SQL("{ledger_lines} {ledger_streams}_by_x {unknown}"); got != "ledger_lines_1 ledger_streams_1_by_x {unknown}" || tables.Kind() != p.kind {
				t.Errorf("SQL %s, kind %s", got, tables.Kind())
			}
			return create(ctx, tx, tables)
		}
		s.project(t, d, nil)
	})
}
