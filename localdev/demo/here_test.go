package demo_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/localdev/demo"
)

// courseOf is what a shop asks of the API for its n-th order, where each request but the first gets the next of the answers, and the
// last one again and again.
func courseOf(t *testing.T, n int, answers ...int) []string {
	t.Helper()
	shop := demo.NewShop(8)
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	var course []string
	for placed := 0; placed < n+30; now = now.Add(5 * time.Second) {
		r := shop.Next(now).Request
		switch {
		case r == nil:
		case r.Path == "/orders":
			placed++
			id := "other"
			if placed == n {
				id = "it"
			}
			r.Answered(demo.Answer{Status: http.StatusCreated, OrderID: id}, now)
		case strings.HasPrefix(r.Path, "/orders/it/"):
			course = append(course, r.Path[len("/orders/it/"):])
			r.Answered(demo.Answer{Status: answers[min(len(course), len(answers))-1]}, now)
		default:
			r.Answered(demo.Answer{Status: http.StatusOK}, now)
		}
	}
	return course
}

func TestAnOrderAtTheAPITakesItsCourse(t *testing.T) {
	t.Parallel()
	const ok, conflict = http.StatusOK, http.StatusConflict
	for name, test := range map[string]struct {
		n       int // every third order is one of another program: the API gets 1, 2, 4, 5, 7, 8, 10, 11, …
		answers []int
		want    []string
	}{
		"shipped and delivered": {1, []int{ok}, []string{"shipment", "delivery"}},
		"not paid at once":      {1, []int{conflict, conflict, ok}, []string{"shipment", "shipment", "shipment", "delivery"}},
		"never paid":            {1, []int{conflict}, []string{"shipment", "shipment", "shipment", "shipment", "shipment"}},
		"the API is away":       {1, []int{0}, []string{"shipment"}},
		"paid by hand":          {2, []int{ok}, []string{"payment", "shipment", "delivery"}},
		"cancelled":             {3, []int{ok}, []string{"cancellation"}},
		"declined":              {4, []int{ok}, nil},
		"not in stock":          {5, []int{ok}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, courseOf(t, test.n, test.answers...)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRequestsReachTheAPI(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var keys []string
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		var order struct{ CustomerID string }
		if err := json.UnmarshalRead(r.Body, &order, json.MatchCaseInsensitiveNames(true)); err != nil || order.CustomerID == "" ||
			r.URL.Path != "/orders" || r.Header.Get("X-Correlation-ID") == "" {
			t.Errorf("%s %s: %v", r.Method, r.URL, err)
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"orderId":"order-1"}`))
	}))
	defer api.Close()
	shop := demo.NewShop(9)
	for range 2 {
		r := shop.Next(time.Now()).Request
		if a := demo.Post(t.Context(), api.URL, r); a != (demo.Answer{Status: http.StatusCreated, OrderID: "order-1"}) {
			t.Errorf("got %+v", a)
		}
	}
	if keys[0] == "" || slices.Contains(keys[1:], keys[0]) {
		t.Errorf("keys %q", keys)
	}
	if a := demo.Post(t.Context(), "http://127.0.0.1:1", demo.NewShop(9).Next(time.Now()).Request); a != (demo.Answer{}) {
		t.Errorf("an API that is away answered %+v", a)
	}
}
