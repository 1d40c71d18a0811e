package orderapi_test

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// description is what /openapi.json says: operations by path and method.
type description struct {
	OpenAPI string
	Paths   map[string]map[string]operation
}

type operation struct {
	OperationID string
	Responses   map[string]struct {
		Headers map[string]struct{ Description string }
		Content map[string]struct {
			Schema struct {
				Ref string `json:"$ref"`
			}
		}
	}
	RequestBody struct{ Required bool }
}

// describe reads the description.
func (s *shop) describe(t testing.TB) description {
	t.Helper()
	var d description
	got := s.ask(t, "GET", "/openapi.json", "").must(t, 200)
	if err := json.Unmarshal([]byte(got.body), &d, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	return d
}

// requireStatus checks that an answer of the status is described for a request.
func (d description) requireStatus(t testing.TB, method, path string, status int) {
	t.Helper()
	place, _, _ := strings.Cut(path, "?")
	if parts := strings.Split(place, "/"); len(parts) > 2 {
		parts[2] = "{id}"
		place = strings.Join(parts, "/")
	}
	if _, ok := d.Paths[place][strings.ToLower(method)].Responses[strconv.Itoa(status)]; !ok {
		t.Errorf("%s %s answers %d, which is not described", method, place, status)
	}
}

func TestDescription(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	d := s.describe(t)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("OpenAPI %s", d.OpenAPI)
	}
	got := map[string]string{}
	for path, methods := range d.Paths {
		for method, op := range methods {
			got[op.OperationID] = strings.ToUpper(method) + " " + path + " " + strings.Join(slices.Sorted(maps.Keys(op.Responses)), " ")
			requireProblems(t, op)
		}
	}
	want := map[string]string{
		"createOrder":    "POST /orders 201 400 403 406 408 409 413 415 422 500 503",
		"processPayment": "POST /orders/{id}/payment 200 400 403 404 406 408 409 412 413 415 422 500 503",
		"shipOrder":      "POST /orders/{id}/shipment 200 400 403 404 406 408 409 412 413 415 422 500 503",
		"deliverOrder":   "POST /orders/{id}/delivery 200 400 403 404 406 408 409 412 413 415 422 500 503",
		"cancelOrder":    "POST /orders/{id}/cancellation 200 400 403 404 406 408 409 412 413 415 422 500 503",
		"getOrder":       "GET /orders/{id} 200 400 404 406 422 500 503",

		"getAllOrders":        "GET /orders 200 400 406 422 500 503",
		"getOrdersByCustomer": "GET /customers/{id}/orders 200 400 406 422 500 503",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	placed := slices.Sorted(maps.Keys(d.Paths["/orders"]["post"].Responses["201"].Headers))
	if diff := cmp.Diff([]string{"ETag", "Idempotent-Replayed", "Location", "X-Correlation-ID", "X-Request-ID"}, placed); diff != "" {
		t.Error(diff)
	}
	yaml := s.ask(t, "GET", "/openapi.yaml", "").must(t, 200)
	if !strings.Contains(yaml.body, "operationId: createOrder") {
		t.Errorf("YAML: %.200s", yaml.body)
	}
}

// requireProblems checks that every answer but the one of success is described as a problem.
func requireProblems(t *testing.T, op operation) {
	t.Helper()
	for status, response := range op.Responses {
		media := "application/problem+json"
		if status < "3" {
			media = "application/json"
		}
		if _, ok := response.Content[media]; !ok || len(response.Content) != 1 {
			t.Errorf("%s: %s is answered by %v", op.OperationID, status, response.Content)
		}
	}
}

// The page needs no script, nothing from elsewhere, and says what the description says.
func TestDocs(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	page := s.ask(t, "GET", "/docs", "").must(t, http.StatusOK)
	if policy := page.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'; style-src 'sha256-") {
		t.Errorf("policy %s", policy)
	}
	for _, never := range []string{"<script", "src=", "@import", "url(", `href="http`, " style="} {
		if strings.Contains(page.body, never) {
			t.Errorf("the page has %s", never)
		}
	}
	for _, methods := range s.describe(t).Paths {
		for _, op := range methods {
			if !strings.Contains(page.body, `id="`+op.OperationID+`"`) {
				t.Errorf("the page has no %s", op.OperationID)
			}
		}
	}
	for _, words := range []string{"https://millrace.dev/problems/rule-broken", `<h3 id="Creation">`, "1 to 256 characters", "1 to 1000000000"} {
		if !strings.Contains(page.body, words) {
			t.Errorf("the page does not say %s", words)
		}
	}
}
