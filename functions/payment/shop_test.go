package payment

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

var server postgres.Shared

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		child()
		return
	}
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(server.Tests(m), goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

var noon = time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)

func atNoon() time.Time { return noon }

// kinds of databases, with the environment of a new one.
var kinds = map[string]func(testing.TB) map[string]string{
	"sqlite": func(t testing.TB) map[string]string {
		return map[string]string{"DATABASE": "sqlite", "DATABASE_URL": filepath.Join(t.TempDir(), "payment.db"), "DATABASE_DURABLE": "false"}
	},
	"postgres": func(t testing.TB) map[string]string {
		return map[string]string{"DATABASE": "postgres", "DATABASE_URL": server.Database(t)}
	},
}

// each runs a test for each kind of database, with a function that soon gives up a provider that hangs.
func each(t *testing.T, test func(t *testing.T, s *shop)) {
	t.Helper()
	eachWithin(t, soon, test)
}

// soon is when a shop gives up a provider that hangs, unless its environment says otherwise.
const soon = "300ms"

// eachWithin gives the provider so much time for a request.
func eachWithin(t *testing.T, timeout string, test func(t *testing.T, s *shop)) {
	t.Helper()
	for kind, environment := range kinds {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			e := environment(t)
			e["PAYMENT_TIMEOUT"] = timeout
			test(t, newShop(t, e))
		})
	}
}

// shop is the payment function with a provider behind a network that may fail.
type shop struct {
	testing.TB
	*service

	provider *paymentprovider.Provider
	front    *front
	// environment is the function's.
	environment map[string]string
	made        atomic.Int64
	// passed is how long after noon it is to the function.
	passed atomic.Int64
}

const key = "canary-key"

func newShop(t testing.TB, environment map[string]string) *shop {
	t.Helper()
	p, err := paymentprovider.Start(&paymentprovider.Options{Addr: "127.0.0.1:0", Key: config.NewSecret(key), Now: atNoon})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { requireClosed(t, p.Close()) })
	s := &shop{TB: t, provider: p, front: newFront(t, p.URL()), environment: environment}
	environment["PAYMENT_PROVIDER_URL"] = s.front.url
	environment["PAYMENT_PROVIDER_KEY"] = key
	environment["PAYMENT_TIMEOUT"] = cmp.Or(environment["PAYMENT_TIMEOUT"], soon)
	if s.service, err = newService(s.lookup, s.now); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { requireClosed(t, s.Close()) })
	return s
}

func requireClosed(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

func (s *shop) now() time.Time { return noon.Add(time.Duration(s.passed.Load())) }

// wait has a time pass, and the function do what is due then.
func (s *shop) wait(d time.Duration) error {
	s.passed.Add(int64(d))
	for _, c := range s.Chores() {
		if c.Name == refundsChore {
			return c.Run(s.Context(), nil)
		}
	}
	return errors.New("no chore refunds")
}

// insistWait waits, and again while somebody is slow, as machines are that are busy.
func (s *shop) insistWait(d time.Duration) error {
	err := s.wait(d)
	for tries := 1; tries < 100 && function.VerdictOf(err) == function.Broken; tries++ {
		err = s.wait(longEnough)
	}
	return err
}

func (s *shop) lookup(name string) (string, bool) {
	value, ok := s.environment[name]
	return value, ok
}

// event returns an event with an id of its own.
func (s *shop) event(p function.Payload) event.Event {
	s.Helper()
	return newEvent(s, fmt.Sprintf("event-%d", s.made.Add(1)), p)
}

func newEvent(t testing.TB, id string, p function.Payload) event.Event {
	t.Helper()
	e, err := function.NewEvent(p)
	if err != nil {
		t.Fatal(err)
	}
	e.SetID(id)
	e.SetSource("/order-service")
	e.SetTime(noon)
	e.SetExtension(function.CorrelationID, "flow-1")
	return e
}

// The facts of an order.
func created(id, amount string) order.Created {
	return order.Created{OrderID: id, CustomerID: "c-7", Amount: money.MustParse(amount), Currency: "EUR"}
}

func manual(id, amount string) order.Created {
	c := created(id, amount)
	c.Payment = order.PaymentManual
	return c
}

func paid(id, amount, transaction string) order.Paid {
	return order.Paid{
		OrderID: id, CustomerID: "c-7", Amount: money.MustParse(amount), Currency: "EUR", PaymentMethod: "bank transfer",
		TransactionID: transaction, PaidAt: noon,
	}
}

func cancelledOrder(id string) order.Cancelled {
	return order.Cancelled{OrderID: id, CustomerID: "c-7", Reason: "changed my mind", CancelledAt: noon}
}

func rejectedOrder(id string) inventory.Rejected {
	return inventory.Rejected{OrderID: id, Reason: "prod-7 is out of stock", RejectedAt: noon}
}

// insist delivers an event as the runtime does, which tries again what waits for somebody who is slow.
func (s *shop) insist(e event.Event) error { return insist(s.Context(), s, e) }

func insist(ctx context.Context, h function.Handler, e event.Event) error {
	for tries := 1; ; tries++ {
		_, err := h.Handle(ctx, e)
		if tries == 100 || function.VerdictOf(err) != function.Broken {
			return err
		}
	}
}

// handle delivers an event.
func (s *shop) handle(e event.Event) error {
	_, err := s.Handle(s.Context(), e)
	return err
}

// tell delivers facts in new events, each of which must be handled or passed by.
func (s *shop) tell(facts ...function.Payload) {
	s.Helper()
	for _, p := range facts {
		if err := s.insist(s.event(p)); err != nil && !errors.Is(err, function.ErrPassedBy) {
			s.Fatalf("%s: %v", p.EventType(), err)
		}
	}
}

// told publishes what is due and returns it by order.
func (s *shop) told() map[string][]event.Event {
	s.Helper()
	story := map[string][]event.Event{}
	publish := func(_ context.Context, topic string, events ...event.Event) []error {
		for _, e := range events {
			if topic != order.Topic || e.Validate() != nil || e.Source() != "/payment-service" || e.Extensions()[function.CorrelationID] == nil {
				s.Errorf("published on %s: %s", topic, e)
			}
			id := fmt.Sprint(e.Extensions()[function.PartitionKey])
			story[id] = append(story[id], e)
		}
		return nil
	}
	for {
		published, err := s.ledger.outbox.Relay(s.Context(), publish)
		if err != nil {
			s.Fatal(err)
		}
		if published == 0 {
			return story
		}
	}
}

// account returns the provider's account of an order.
func (s *shop) account(id string) paymentprovider.Account {
	for _, a := range s.provider.Accounts() {
		if a.OrderID == id {
			return a
		}
	}
	return paymentprovider.Account{OrderID: id}
}

// fault is what the network does to a request.
type fault int

const (
	none fault = iota
	// refuse: the provider answers 503, and is not asked.
	refuse
	// lose: the provider books, and its answer is lost.
	lose
	// hang: the request never arrives, and the caller's time runs out.
	hang
	// leave: the provider books, and the process has to leave before it hears of it.
	leave
	// unstarted: the process has to leave before it does anything.
	unstarted
)

var faults = []fault{none, refuse, lose, hang, leave, unstarted}

// front is the network between the function and the provider.
type front struct {
	url string

	mu    sync.Mutex
	fault fault
	// gone ends the attempt that asks.
	gone context.CancelFunc
	// meanwhile is what happens before the next request arrives.
	meanwhile func()
}

func newFront(t testing.TB, provider string) *front {
	t.Helper()
	target, err := url.Parse(provider)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	proxy := &httputil.ReverseProxy{
		Transport: transport,
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
		// The provider hangs up.
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	f := &front{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.pass(proxy, w, r) }))
	f.url = s.URL
	t.Cleanup(func() {
		s.Close()
		transport.CloseIdleConnections()
	})
	return f
}

func (f *front) pass(provider http.Handler, w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	kind, gone, meanwhile := f.fault, f.gone, f.meanwhile
	f.meanwhile = nil
	f.mu.Unlock()
	if meanwhile != nil {
		meanwhile()
	}
	switch kind {
	case refuse:
		w.WriteHeader(http.StatusServiceUnavailable)
	case hang:
		// Only who has read the body hears of a caller that goes away.
		_, _ = r.Body.Read(make([]byte, 1<<10))
		_, _ = r.Body.Read(make([]byte, 1))
		<-r.Context().Done()
	case lose, leave:
		provider.ServeHTTP(httptest.NewRecorder(), r)
		if kind == leave {
			gone()
			<-r.Context().Done()
		}
		panic(http.ErrAbortHandler)
	default:
		provider.ServeHTTP(w, r)
	}
}

// handleUnder delivers an event while the network has a fault.
func (s *shop) handleUnder(kind fault, e event.Event) error {
	ctx, cancel := context.WithCancel(s.Context())
	defer cancel()
	s.front.set(kind, cancel)
	defer s.front.set(none, nil)
	if kind == unstarted {
		cancel()
	}
	_, err := s.Handle(ctx, e)
	return err
}

func (f *front) set(kind fault, gone context.CancelFunc) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.gone = kind, gone
}

// before has something happen before the next request arrives.
func (f *front) before(happens func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.meanwhile = happens
}
