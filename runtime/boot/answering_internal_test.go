package boot

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/telemetry"
)

func TestNobodyIsWarnedOfARequestThatItsClientGaveUp(t *testing.T) {
	t.Parallel()
	gone, giveUp := context.WithCancel(t.Context())
	giveUp()
	late, cancel := context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	for name, test := range map[string]struct {
		ctx    context.Context //nolint:containedctx // what the test is about
		code   int
		warned bool
	}{
		"the client is gone":    {gone, http.StatusServiceUnavailable, false},
		"it took too long":      {late, http.StatusServiceUnavailable, true},
		"the service failed":    {t.Context(), http.StatusInternalServerError, true},
		"the client was at it":  {t.Context(), http.StatusConflict, false},
		"everything went right": {t.Context(), http.StatusOK, false},
	} {
		var log bytes.Buffer
		a := &answering{log: slog.New(slog.NewTextHandler(&log, nil))}
		a.tell(test.ctx, &telemetry.Request{Service: "order-api", Method: http.MethodPost, Code: test.code})
		if warned := log.Len() > 0; warned != test.warned {
			t.Errorf("%s: a line is written: %t, want %t", name, warned, test.warned)
		}
	}
}
