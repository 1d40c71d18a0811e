package orderapi

import (
	"net/http"
	"strconv"
	"testing"
	"time"
)

// Age has the service remember answers to so many requests of some time ago.
func Age(t *testing.T, handler http.Handler, answers int, ago time.Duration) {
	t.Helper()
	for i := range answers {
		_, err := handler.(*service).answers.db.Write().ExecContext(t.Context(),
			`INSERT INTO order_api_answers (idempotency_key, fingerprint, status, location, etag, body, answered_at) VALUES ($1, $2, 200, '', '', $2, $3)`,
			"old"+strconv.Itoa(i), []byte{}, time.Now().Add(-ago).UnixMicro())
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Kept returns how many answers the service remembers.
func Kept(t *testing.T, handler http.Handler) (answers int) {
	t.Helper()
	if err := handler.(*service).answers.db.Read().QueryRowContext(t.Context(), `SELECT count(*) FROM order_api_answers`).Scan(&answers); err != nil {
		t.Fatal(err)
	}
	return answers
}
