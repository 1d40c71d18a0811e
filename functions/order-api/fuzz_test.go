package orderapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	orderapi "github.com/millrace/millrace/functions/order-api"
)

// FuzzRequests: whatever is sent, the answer is one that is described, and no error of the service; an order that was placed
// can be read.
func FuzzRequests(f *testing.F) {
	paths := []string{"/orders", "/orders/ID/payment", "/orders/ID/shipment", "/orders/ID/delivery", "/orders/ID/cancellation"}
	for i, body := range []string{basket, paid, shipped, "{}", `{"reason":"changed my mind"}`} {
		f.Add(uint8(i), body, "key", `"1"`, "flow")
	}
	for _, refused := range refusals {
		f.Add(uint8(0), refused.body, `"k"`, "*", "")
	}
	s := start(f, onSQLite(f))
	description := s.describe(f)
	id := s.place(f)
	f.Fuzz(func(t *testing.T, which uint8, body, key, version, flow string) {
		path := paths[int(which)%len(paths)]
		r := httptest.NewRequestWithContext(t.Context(), "POST", strings.Replace(path, "ID", id, 1), strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		for name, value := range map[string]string{"Idempotency-Key": key, "If-Match": version, "X-Correlation-ID": flow} {
			if value != "" {
				r.Header.Set(name, value)
			}
		}
		w := httptest.NewRecorder()
		s.handler.ServeHTTP(w, r)
		description.requireStatus(t, "POST", path, w.Code)
		if w.Code >= http.StatusInternalServerError {
			t.Errorf("answered %d %s", w.Code, w.Body)
		}
		if place := w.Header().Get("Location"); place != "" {
			read := httptest.NewRecorder()
			s.handler.ServeHTTP(read, httptest.NewRequestWithContext(t.Context(), "GET", place, nil))
			if read.Code != http.StatusOK {
				t.Errorf("placed %s, read %d %s", w.Body, read.Code, read.Body)
			}
		}
	})
}

// FuzzPaths: whatever the URL is, nothing breaks.
func FuzzPaths(f *testing.F) {
	for _, test := range refusals {
		f.Add(test.method, test.path)
	}
	handler, err := orderapi.Service.New(onSQLite(f).lookup)
	if err != nil {
		f.Fatal(err)
	}
	s := &shop{handler: handler, server: httptest.NewServer(handler)}
	f.Cleanup(func() { s.stop(f) })
	f.Fuzz(func(t *testing.T, method, path string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://x"+path, http.NoBody)
		if err != nil {
			t.Skip("no request that a server would get")
		}
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, r)
		if built := strings.Contains(w.Body.String(), "list-not-built"); w.Code >= http.StatusInternalServerError && !built {
			t.Errorf("answered %d %s", w.Code, w.Body)
		}
	})
}
