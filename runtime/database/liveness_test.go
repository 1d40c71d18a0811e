package database_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/database"
)

// The locks of a process that is gone, or paused, in a transaction are free after seconds.
func TestPostgresEndsTransactionsThatNobodyGoesOnWith(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ of, want string }{
		"by default":   {"", "15s 10 5 3"},
		"by the URL":   {"idle_in_transaction_session_timeout=3s&tcp_keepalives_idle=20", "3s 20 5 3"},
		"by options":   {"options=-c%20idle_in_transaction_session_timeout%3D4s", "4s 10 5 3"},
		"switched off": {"idle_in_transaction_session_timeout=0", "0 10 5 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dsn := server.Database(t)
			separator := "?"
			if strings.Contains(dsn, "?") {
				separator = "&"
			}
			db, err := database.OpenPostgres(t.Context(), dsn+separator+tc.of, 1)
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			const settings = `SELECT concat_ws(' ', current_setting('idle_in_transaction_session_timeout'),
				current_setting('tcp_keepalives_idle'), current_setting('tcp_keepalives_interval'), current_setting('tcp_keepalives_count'))`
			var got string
			if err := db.QueryRowContext(t.Context(), settings).Scan(&got); err != nil || got != tc.want {
				t.Errorf("the server has %s, %v, want %s", got, err, tc.want)
			}
		})
	}
}
