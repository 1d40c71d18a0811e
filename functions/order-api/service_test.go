package orderapi_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	orderapi "github.com/millrace/millrace/functions/order-api"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(server.Tests(m), goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// environment is what a service reads.
type environment map[string]string

func (e environment) lookup(name string) (string, bool) {
	value, set := e[name]
	return value, set
}

func onSQLite(t testing.TB) environment {
	t.Helper()
	return environment{"DATABASE_URL": filepath.Join(t.TempDir(), "orders.db"), "DATABASE_DURABLE": "false"}
}

func onPostgres(t testing.TB) environment {
	t.Helper()
	return environment{"DATABASE": "postgres", "DATABASE_URL": server.Database(t)}
}

// databases are the kinds of databases that the service may have.
var databases = map[string]func(testing.TB) environment{"SQLite": onSQLite, "PostgreSQL": onPostgres}

// each runs a test on each kind of database.
func each(t *testing.T, test func(*testing.T, *shop)) {
	t.Helper()
	for name, on := range databases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, start(t, on(t)))
		})
	}
}

// shop is a service that answers HTTP requests, and its client.
type shop struct {
	environment environment
	handler     http.Handler
	server      *httptest.Server
	client      *http.Client
}

// start starts the service.
func start(t testing.TB, e environment) *shop {
	t.Helper()
	handler, err := orderapi.Service.New(e.lookup)
	if err != nil {
		t.Fatal(err)
	}
	s := &shop{environment: e, handler: handler, server: httptest.NewServer(handler)}
	s.client = s.server.Client()
	t.Cleanup(func() { s.stop(t) })
	return s
}

// stop stops the service. What its database has stays.
func (s *shop) stop(t testing.TB) {
	t.Helper()
	s.server.Close()
	if err := s.handler.(io.Closer).Close(); err != nil {
		t.Error(err)
	}
}

func (s *shop) chores() []function.Chore { return s.handler.(function.Worker).Chores() }

// answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request. A body is JSON. headers are names and values in turn: a name may come twice.
// It may be called from any goroutine; a request that gets no answer is an error, and has status 0.
func (s *shop) ask(t testing.TB, method, path, body string, headers ...string) answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, s.server.URL+path, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return answer{}
	}
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for header := range slices.Chunk(headers, 2) {
		if header[0] == "Content-Type" {
			r.Header.Del(header[0])
		}
		r.Header.Add(header[0], header[1])
	}
	return s.send(t, r)
}

func (s *shop) send(t testing.TB, r *http.Request) answer {
	t.Helper()
	response, err := s.client.Do(r)
	if err != nil {
		t.Error(err)
		return answer{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Error(err)
	}
	return answer{response.StatusCode, response.Header, string(body)}
}

// view is an order as the API shows it, or a problem.
type view struct {
	OrderID string `json:"orderId"`
	Status  any    `json:"status"`
	Version int    `json:"version"`
	Type    string `json:"type"`
	Detail  string `json:"detail"`
}

func (a answer) view(t testing.TB) view {
	t.Helper()
	var v view
	if err := json.Unmarshal([]byte(a.body), &v); err != nil {
		t.Fatalf("%d %s: %v", a.status, a.body, err)
	}
	return v
}

// must checks the status of an answer.
func (a answer) must(t testing.TB, status int) answer {
	t.Helper()
	if a.status != status {
		t.Fatalf("answered %d %s, want %d", a.status, a.body, status)
	}
	return a
}

const (
	basket  = `{"customerId":"customer-789","items":[{"productId":"prod-4","quantity":2,"price":49.50}]}`
	byHand  = `{"customerId":"customer-789","payment":"manual","items":[{"productId":"prod-4","quantity":2,"price":49.50}]}`
	paid    = `{"transactionId":"txn-1","paymentMethod":"cash"}`
	shipped = `{"trackingNumber":"1Z999","carrier":"UPS","estimatedDelivery":"in 2-3 days"}`
)

// place places an order that is paid by hand.
func (s *shop) place(t testing.TB) string {
	t.Helper()
	return s.ask(t, "POST", "/orders", byHand).must(t, http.StatusCreated).view(t).OrderID
}

// open opens the database of the service beside it.
func (e environment) open(t testing.TB) *orderstore.Store {
	t.Helper()
	var c database.Config
	if err := function.Lookup(e.lookup).Into(&c); err != nil {
		t.Fatal(err)
	}
	store, err := orderstore.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	return store
}

// view returns what has lists follow the orders: in a shop another process does.
func (e environment) view(t testing.TB) *projection.Projection {
	t.Helper()
	store := e.open(t)
	view, err := projection.New(t.Context(), store.DB(), store.Events(), orderview.Projection(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return view
}

// history returns the stored facts of an order, or of all where id is empty.
func history(t testing.TB, store *orderstore.Store, id string) []event.Event {
	t.Helper()
	recorded, err := store.Events().ReadStream(t.Context(), orderstore.Stream(id), 0, 1000)
	if id == "" {
		recorded, err = store.Events().ReadAll(t.Context(), 0, 1000)
	}
	if err != nil {
		t.Fatal(err)
	}
	var facts []event.Event
	for _, r := range recorded {
		facts = append(facts, r.Event)
	}
	return facts
}

func TestTheEnvironment(t *testing.T) {
	t.Parallel()
	e := environment{"DATABASE": "mysql", "ORDER_API_KEYS_KEPT": "23h"}
	_, err := orderapi.Service.New(e.lookup)
	for _, want := range []string{"DATABASE must be one of sqlite, postgres", "ORDER_API_KEYS_KEPT must be a duration"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	if _, err := orderapi.Service.New(environment{"DATABASE_URL": "/no/such/folder/orders.db"}.lookup); err == nil {
		t.Error("a database was opened in a folder that there is not")
	}
}

// Who counts requests learns which pattern matched.
func TestThePatternIsTold(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	for path, want := range map[string]string{"/orders/1": "GET /orders/{id}", "/orders//1": "", "/nothing": "", "/docs": "GET /docs"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", path, nil)
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
		if r.Pattern != want {
			t.Errorf("%s: %q, want %q", path, r.Pattern, want)
		}
	}
}

func TestChores(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	var names []string
	for _, c := range s.chores() {
		names = append(names, c.Name)
	}
	if !slices.Equal(names, []string{"outbox", "idempotency-keys"}) {
		t.Errorf("got %q", names)
	}
}
