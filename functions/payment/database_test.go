package payment

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/function"
)

// requireAway checks that an error is that of the database, which says something, and of no event.
func requireAway(t *testing.T, err error, says string) {
	t.Helper()
	var down *function.UnavailableError
	if !errors.As(err, &down) || down.Dependency != dependency || !strings.Contains(err.Error(), says) {
		t.Fatalf("got %v", err)
	}
}

// After a failover the address leads to a standby that answers and stores nothing: attempts were spent, and orders became dead
// letters.
func TestAReadOnlyDatabaseSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	s := newShop(t, kinds["postgres"](t))
	s.tell(created("12345", "99.90"))
	s.failOver("on")
	e := s.event(cancelledOrder("12345"))
	for range 5 {
		requireAway(t, s.handle(e), "SQLSTATE 25006")
	}
	s.failOver("off")
	if err := s.insist(e); err != nil {
		t.Fatal(err)
	}
	s.requireTold("processed", "refunded")
}

// failOver has all sessions of PostgreSQL from now on refuse what a standby refuses, or not.
func (s *shop) failOver(readOnly string) {
	s.Helper()
	write := s.ledger.db.Write()
	write.SetMaxIdleConns(0) // the session that ends the others is not used again
	var own string
	if err := write.QueryRowContext(s.Context(), "SELECT quote_ident(current_database())").Scan(&own); err != nil {
		s.Fatal(err)
	}
	for _, statement := range []string{
		fmt.Sprintf("BEGIN READ WRITE; ALTER DATABASE %s SET default_transaction_read_only = %s; COMMIT", own, readOnly),
		"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
	} {
		if _, err := write.ExecContext(s.Context(), statement); err != nil {
			s.Fatal(err)
		}
	}
}

// A disk that is full fails each order that comes: attempts were spent, and orders became dead letters.
func TestAFullDiskSpendsNoAttempt(t *testing.T) {
	t.Parallel()
	s := newShop(t, kinds["sqlite"](t))
	s.limit(1) // page more than there are
	e, err := s.event(created("order-0", "99.90")), error(nil)
	for n := 0; err == nil && n < 1000; n++ {
		e = s.event(created(fmt.Sprintf("order-%d", n), "99.90"))
		err = s.insist(e)
	}
	for range 5 {
		requireAway(t, s.handle(e), "full")
	}
	s.limit(1 << 20)
	if err := s.insist(e); err != nil {
		t.Fatal(err)
	}
	for id, told := range s.told() {
		if a := s.account(id); len(told) != 1 || a.Charges != 1 {
			t.Errorf("%s: told %q, account %+v", id, lines(told), a)
		}
	}
}

// limit has a SQLite database grow by so many pages at most.
func (s *shop) limit(pages int) {
	s.Helper()
	err := s.ledger.db.Transact(s.Context(), func(tx *sql.Tx) error {
		var now int
		err := tx.QueryRowContext(s.Context(), "PRAGMA page_count").Scan(&now)
		if err == nil {
			_, err = tx.ExecContext(s.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", now+pages))
		}
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
}
