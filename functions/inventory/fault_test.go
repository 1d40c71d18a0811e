package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

// faults makes the writing of single tables fail, as a crash before the statement would.
type faults struct {
	db     *database.DB
	tables []string
}

// newFaults looks up the tables that are written, and has each ask whether it is broken.
func newFaults(t *testing.T, s shop) *faults {
	t.Helper()
	f := &faults{db: s.db}
	names := "SELECT name FROM sqlite_schema WHERE type = 'table'"
	if s.db.Kind() == database.Postgres {
		names = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
		f.exec(t, `CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN IF EXISTS (SELECT 1 FROM broken WHERE name = TG_TABLE_NAME) THEN RAISE EXCEPTION 'broken'; END IF; RETURN NEW; END $$`)
	}
	rows, err := s.db.Read().QueryContext(t.Context(), names+" ORDER BY 1")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		if (strings.HasPrefix(name, "inventory_") || strings.HasPrefix(name, "millrace_outbox")) && !strings.Contains(name, "migrations") {
			f.tables = append(f.tables, name)
		}
	}
	if err := cmp.Or(rows.Err(), rows.Close()); err != nil {
		t.Fatal(err)
	}
	f.exec(t, "CREATE TABLE broken (name TEXT)")
	for _, table := range f.tables {
		f.watch(t, table)
	}
	return f
}

func (f *faults) watch(t fataler, table string) {
	if f.db.Kind() == database.Postgres {
		f.exec(t, "CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON "+table+" FOR EACH ROW EXECUTE FUNCTION fail()")
		return
	}
	for _, change := range []string{"INSERT", "UPDATE"} {
		f.exec(t, fmt.Sprintf(`CREATE TRIGGER fail_%[1]s_%[2]s BEFORE %[2]s ON %[1]s
WHEN EXISTS (SELECT 1 FROM broken WHERE name = '%[1]s') BEGIN SELECT RAISE(ABORT, 'broken'); END`, table, change))
	}
}

// with breaks a table while do runs.
func (f *faults) with(t fataler, table string, do func()) {
	f.exec(t, "INSERT INTO broken VALUES ($1)", table)
	defer f.exec(t, "DELETE FROM broken")
	do()
}

func (f *faults) exec(t fataler, statement string, args ...any) {
	if _, err := f.db.Write().ExecContext(t.Context(), statement, args...); err != nil {
		t.Fatalf("%s: %v", statement, err)
	}
}

// Whichever statement fails, nothing has changed and nothing is told; and the next try does all of it.
func TestATransactionThatFails(t *testing.T) {
	t.Parallel()
	for name, life := range lives {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			each(t, func(t *testing.T, c database.Config) {
				s := opened(t, c, 10)
				f := newFaults(t, s)
				var told []string
				failed := 0
				for _, e := range life.events(t) {
					for _, table := range f.tables {
						f.with(t, table, func() { failed += s.fail(t, e) })
					}
					s.deliver(t, e)
					told = append(told, s.told(t)...)
				}
				if diff := gocmp.Diff(life.want, told); diff != "" || failed == 0 {
					t.Errorf("after %d failures: %s", failed, diff)
				}
				if got := s.stock(t, "prod-1"); got != life.stock {
					t.Errorf("stock is %+v, want %+v", got, life.stock)
				}
			})
		})
	}
}

// fail delivers an event while a table is broken, and counts a failure. There is none where the event does not touch the
// table.
func (s shop) fail(t fataler, e event.Event) int {
	t.Helper()
	before := dump(t, s)
	_, err := s.Handle(t.Context(), e)
	if err == nil || errors.Is(err, function.ErrPassedBy) {
		return 0
	}
	if function.VerdictOf(err) != function.Broken {
		t.Fatalf("%s of %s: %v", e.Type(), e.Subject(), err)
	}
	if diff := gocmp.Diff(before, dump(t, s)); diff != "" {
		t.Fatalf("%s of %s failed and left: %s", e.Type(), e.Subject(), diff)
	}
	return 1
}

// dump returns the tables as text, and how many events wait in the outbox.
func dump(t fataler, s shop) string {
	t.Helper()
	var text strings.Builder
	for _, query := range []string{
		"SELECT product_id || ' ' || available || ' ' || reserved || ' ' || told FROM inventory_stock ORDER BY product_id",
		"SELECT order_id || ' ' || state FROM inventory_orders ORDER BY order_id",
		"SELECT order_id || ' ' || product_id || ' ' || quantity FROM inventory_items ORDER BY order_id, product_id",
	} {
		text.WriteString(lines(t, s, query))
	}
	fmt.Fprintf(&text, "%d waiting\n", waiting(t, s))
	return text.String()
}

func lines(t fataler, s shop, query string) string {
	rows, err := s.db.Read().QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var text strings.Builder
	for rows.Next() {
		var one string
		if err := rows.Scan(&one); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&text, one)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

// waiting counts the events that no relay has published.
func waiting(t fataler, s shop) int64 {
	stats, err := s.outbox.Stats(context.WithoutCancel(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	return stats.Waiting
}
