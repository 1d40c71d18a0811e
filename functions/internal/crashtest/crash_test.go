package crashtest_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// ordersVariable says how many orders make crash and make test-kafka want, on PostgreSQL and the cluster of MILLRACE_TEST_KAFKA.
const ordersVariable = "MILLRACE_TEST_CRASH"

const (
	// customers is how many order at the same time.
	customers = 16
	// patience is how long all may take to come to rest.
	patience = time.Minute
	// initial is how many pieces of each product there are at first.
	initial = 100_000
)

// On SQLite and the embedded Kafka everything is killed: the shop, its databases and its Kafka.
//
//nolint:paralleltest // The machine is busy enough.
func TestAKilledShopTellsOneStory(t *testing.T) {
	if os.Getenv(ordersVariable) != "" {
		t.Skip("make crash runs the larger one")
	}
	s := &shop{pause: 4500, place: place{KafkaPort: runtimetest.FreeAddress(t).Port, Data: t.TempDir(), API: runtimetest.FreeAddress(t).String()}}
	run(t, s, 200, func(service string) database.Config {
		return database.Config{Kind: "sqlite", URL: config.NewSecret(s.Data + "/" + service + ".db")}
	})
}

// On PostgreSQL and Apache Kafka, which stay.
//
//nolint:paralleltest // The machine is busy enough.
func TestAKilledShopTellsOneStoryOnPostgreSQLAndApacheKafka(t *testing.T) {
	orders, err := strconv.Atoi(os.Getenv(ordersVariable))
	if err != nil {
		t.Skipf("it needs Apache Kafka: make test-kafka runs it with few orders, make crash with 2,000 (%s)", ordersVariable)
	}
	kafka := os.Getenv(runtimetest.AddressVariable)
	if kafka == "" {
		t.Fatalf("%s names no Apache Kafka; make crash starts one", runtimetest.AddressVariable)
	}
	url := server.Database(t)
	// Few orders are placed within seconds: the shop is killed sooner then.
	s := &shop{pause: min(4500, 8*orders), place: place{Kafka: kafka, API: runtimetest.FreeAddress(t).String()}, environment: []string{
		"DATABASE=postgres", "DATABASE_URL=" + url,
		// The group knows the member that comes back. A cluster that stays would otherwise wait for the one that was killed.
		"KAFKA_INSTANCE_ID=shop",
	}}
	run(t, s, orders, func(string) database.Config {
		return database.Config{Kind: "postgres", URL: config.NewSecret(url), Connections: 4}
	})
}

// run has customers place orders while the shop is killed again and again, waits until everything has come to rest, and compares.
func run(t *testing.T, s *shop, orders int, databaseOf func(service string) database.Config) {
	provider, err := paymentprovider.Start(&paymentprovider.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	defer provider.Close()
	s.environment = append(s.environment, "PAYMENT_PROVIDER_URL="+provider.URL(), "PAYMENT_PROVIDER_KEY=local",
		"INVENTORY_INITIAL_STOCK="+strconv.Itoa(initial))
	began := time.Now()
	s.start(t)
	s.await(t)

	crowd := shopping(t, "http://"+s.API, orders)
	kills := 0
	last, since := int64(0), time.Now()
	for running := true; running; {
		if placed := crowd.placed.Load(); placed > last {
			last, since = placed, time.Now()
		} else if time.Since(since) > patience {
			t.Fatalf("%d of %d orders were placed, and no other for %s: somebody waits for what does not happen", placed, orders, patience)
		}
		select {
		case <-crowd.done:
			running = false
		case <-time.After(time.Duration(300+rand.IntN(s.pause)) * time.Millisecond):
			s.kill(t)
			s.start(t)
			if kills++; kills%10 == 0 {
				t.Logf("%s: %d kills, %d of %d orders placed", time.Since(began).Round(time.Second), kills, crowd.placed.Load(), orders)
			}
		}
	}
	for _, err := range crowd.failures {
		t.Error(err)
	}
	purchases := crowd.purchases
	if kills < 3 {
		t.Errorf("%d kills: nothing was tested", kills)
	}
	t.Logf("%s: %d kills, all orders placed", time.Since(began).Round(time.Second), kills)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the last shop said: %s", s.said)
		}
	})
	rest(t, s, purchases)
	compare(t, s, purchases, provider, databaseOf, kills)
}

// crowd is what customers did.
type crowd struct {
	placed atomic.Int64
	// done is closed when all is done; the rest may be read then.
	done      chan struct{}
	mu        sync.Mutex
	purchases []*purchase
	failures  []error
}

// shopping has customers place orders.
func shopping(t *testing.T, api string, orders int) *crowd {
	all := &crowd{done: make(chan struct{})}
	next := make(chan int)
	var working sync.WaitGroup
	for n := range customers {
		c := &customer{api: api, name: fmt.Sprintf("customer-%d", n), rand: rand.New(rand.NewPCG(uint64(n), 7))}
		working.Go(func() {
			for i := range next {
				p, err := c.buy(t.Context(), intents[i%len(intents)])
				all.add(p, err)
			}
		})
	}
	go func() {
		for i := range orders {
			next <- i
		}
		close(next)
		working.Wait()
		close(all.done)
	}()
	return all
}

func (c *crowd) add(p *purchase, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.placed.Add(1)
	if p != nil {
		c.purchases = append(c.purchases, p)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		c.failures = append(c.failures, err)
	}
}

// rest waits until nothing more can happen to any purchase.
func rest(t *testing.T, s *shop, purchases []*purchase) {
	t.Helper()
	s.await(t)
	for _, p := range purchases {
		runtimetest.Eventually(t, fmt.Sprintf("the end of order %s (%s)", p.id, p.intent.name), func() bool {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.API+"/orders/"+p.id, nil)
			if err != nil {
				t.Fatal(err)
			}
			a, status, err := ask(r)
			if p.status = a.Status; err != nil || status != http.StatusOK {
				p.status = fmt.Sprintf("unknown: %d, %v", status, err)
			}
			return p.status == p.end()
		})
	}
}

// compare waits until everything is published and listed, and says what does not agree.
func compare(t *testing.T, s *shop, purchases []*purchase, provider *paymentprovider.Provider, databaseOf func(string) database.Config, kills int) {
	t.Helper()
	orders, err := orderstore.Open(t.Context(), databaseOf("orders"))
	if err != nil {
		t.Fatal(err)
	}
	defer orders.Close()
	stock, err := database.Open(t.Context(), databaseOf("inventory"))
	if err != nil {
		t.Fatal(err)
	}
	defer stock.Close()
	a := &audit{purchases: purchases, orders: orders, stock: stock, provider: provider}
	for deadline := time.Now().Add(patience); ; {
		a.findings, a.records = findings{}, s.records(t)
		a.all(t)
		if len(a.findings) == 0 || time.Now().After(deadline) || !pause(t.Context(), 100*time.Millisecond) {
			break
		}
	}
	for _, kind := range kinds {
		for _, finding := range a.findings[kind] {
			t.Errorf("%s: %s", kind, finding)
		}
	}
	t.Logf("CRASH orders=%d kills=%d events=%d records=%d %s", len(purchases), kills, len(a.stored(t)), len(a.records), a)
}
