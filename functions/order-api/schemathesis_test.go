package orderapi_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	orderapi "github.com/millrace/millrace/functions/order-api"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/projection"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// TestSchemathesis has schemathesis, which MILLRACE_TEST_SCHEMATHESIS is the path of, send what the description of the API
// allows and what it does not, to the service as it is deployed. make test-api installs it and runs this test.
func TestSchemathesis(t *testing.T) {
	t.Parallel()
	program := os.Getenv("MILLRACE_TEST_SCHEMATHESIS")
	if program == "" {
		t.Skip("MILLRACE_TEST_SCHEMATHESIS is not set: make test-api sets it")
	}
	url := serve(t, runtimetest.Kafka(t, nil)).server.URL
	settings, err := filepath.Abs("../../infra/api/schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), program, "--config-file", settings, "run", url+"/openapi.json")
	run.Dir = t.TempDir() // it leaves folders where it runs
	run.Stdout, run.Stderr = os.Stdout, os.Stderr
	if err := run.Run(); err != nil {
		t.Fatalf("schemathesis: %v", err)
	}
}

// serve runs the service as it is deployed, with a Kafka.
func serve(t *testing.T, kafka *runtimetest.Broker) *shop {
	t.Helper()
	kafka.CreateTopic(t, order.Topic, 3, nil)
	address, metrics := runtimetest.FreeAddress(t).String(), runtimetest.FreeAddress(t).String()
	e := onSQLite(t)
	e["KAFKA_BROKERS"], e["API_ADDR"], e["HTTP_ADDR"] = strings.Join(kafka.Addrs, ","), address, metrics
	ctx, stop := context.WithCancel(context.Background())
	var log bytes.Buffer
	ended := make(chan int, 1)
	service := orderapi.Service
	service.New = func(lookup function.Lookup) (http.Handler, error) {
		handler, err := orderapi.Service.New(lookup)
		if err != nil {
			return nil, err
		}
		return followedBy(ctx, handler, lookup)
	}
	go func() { ended <- boot.ServeCommand(ctx, nil, e.lookup, io.Discard, &log, service) }()
	s := &shop{environment: e, server: &httptest.Server{URL: "http://" + address}, client: &http.Client{}}
	t.Cleanup(func() {
		s.client.CloseIdleConnections()
		stop()
		if code := <-ended; code != 0 {
			t.Errorf("the service ended with %d:\n%s", code, &log)
		}
	})
	runtimetest.Eventually(t, "the service answers", func() bool {
		response, err := s.client.Get(s.server.URL + "/docs")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
	return s
}

// followed is a service whose lists are brought up to date by the same process.
type followed struct {
	http.Handler

	store *orderstore.Store
	view  *projection.Projection
}

func followedBy(ctx context.Context, handler http.Handler, lookup function.Lookup) (*followed, error) {
	var c database.Config
	if err := lookup.Into(&c); err != nil {
		return nil, err
	}
	store, err := orderstore.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	view, err := projection.New(ctx, store.DB(), store.Events(), orderview.Projection(), nil)
	return &followed{handler, store, view}, err
}

// Chores returns those of the service, and that of its lists.
func (f *followed) Chores() []function.Chore {
	return append(f.Handler.(function.Worker).Chores(), f.view.Chore())
}

// Close closes the databases.
func (f *followed) Close() error { return errors.Join(f.store.Close(), f.Handler.(io.Closer).Close()) }
