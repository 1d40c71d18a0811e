package boot_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// api is a running service.
type api struct {
	*bundle

	url    string
	closed atomic.Bool
	// stop has the process end; ended gets what Run returned.
	stop  context.CancelFunc
	ended chan error
}

// shop is the handler of the service.
type shop struct {
	http.Handler

	api    *api
	chores []function.Chore
}

func (s *shop) Chores() []function.Chore { return s.chores }

func (s *shop) Close() error {
	s.api.closed.Store(true)
	return nil
}

// serve runs a service, without Kafka where it has no chores, until the test ends.
func serve(t *testing.T, b *bundle, mux http.Handler, chores ...function.Chore) *api {
	t.Helper()
	a := &api{bundle: b, ended: make(chan error, 1)}
	addr := runtimetest.FreeAddress(t).String()
	a.url = "http://" + addr
	b.environment["API_ADDR"] = addr
	var ctx context.Context
	ctx, a.stop = context.WithCancel(context.Background())
	started := make(chan struct{})
	service := function.Service{Name: "shop", New: func(function.Lookup) (http.Handler, error) {
		return &shop{Handler: mux, api: a, chores: chores}, nil
	}}
	go func() {
		a.ended <- boot.RunService(ctx, b.lookup, service, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Started: func() { close(started) },
		})
	}()
	t.Cleanup(func() { a.end(t) })
	select {
	case <-started:
	case err := <-a.ended:
		a.ended <- err
		t.Fatalf("RunService() = %v", err)
	}
	return a
}

// end stops the process and waits for its end.
func (a *api) end(t *testing.T) {
	t.Helper()
	a.stop()
	err := receive(t, a.ended, "end")
	if err != nil {
		t.Errorf("RunService() = %v", err)
	}
	a.ended <- nil
}

// offline is a bundle without a broker.
func offline(t *testing.T) *bundle {
	t.Helper()
	addr := runtimetest.FreeAddress(t).String()
	return &bundle{addr: addr, environment: map[string]string{"KAFKA_BROKERS": "127.0.0.1:1", "HTTP_ADDR": addr}}
}

// reply is what a request was answered.
type reply struct {
	code   int
	header http.Header
	body   string
	err    error
}

// call sends a request with headers, given as names and values in turn.
func (a *api) call(t *testing.T, method, path, body string, headers ...string) reply {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, a.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
		if headers[i] == "Host" {
			request.Host = headers[i+1]
		}
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return reply{err: err}
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, response.Header, string(text), err}
}

// ordersMux is what the tests' service answers.
func ordersMux() *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /orders/{id}", func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "order "+r.PathValue("id"))
	})
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	})
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("with a secret") })
	mux.HandleFunc("GET /late", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half of")
		panic("too late")
	})
	return mux
}

func TestAServiceAnswersWithoutKafka(t *testing.T) {
	t.Parallel()
	a := serve(t, offline(t), ordersMux())
	if got := a.call(t, "GET", "/orders/7", ""); got.code != http.StatusOK || got.body != "order 7" {
		t.Errorf("got %+v", got)
	}
	if status, body := a.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	a.end(t)
	if !a.closed.Load() {
		t.Error("the handler was not closed")
	}
}

func TestRequestsAreCountedByTheirRoute(t *testing.T) {
	t.Parallel()
	a := serve(t, offline(t), ordersMux())
	for _, path := range []string{"/orders/1", "/orders/2", "/made/up", "/panic"} {
		a.call(t, "GET", path, "")
	}
	a.call(t, "BREW", "/orders/1", "")
	_, metrics := a.get(t, "/metrics")
	for _, want := range []string{
		`http_requests_total{code="200",method="GET",route="/orders/{id}",service="shop"} 2`,
		`http_requests_total{code="404",method="GET",route="other",service="shop"} 1`,
		`http_requests_total{code="405",method="other",route="other",service="shop"} 1`,
		`http_requests_total{code="500",method="GET",route="/panic",service="shop"} 1`,
		`http_request_duration_seconds_count{method="GET",route="/orders/{id}",service="shop"} 2`,
		`http_requests_in_flight{service="shop"} 0`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in the metrics", want)
		}
	}
}

func TestWhatAServiceRefuses(t *testing.T) {
	t.Parallel()
	b := offline(t)
	b.environment["API_BODY_BYTES"] = "10"
	b.environment["API_HEADER_BYTES"] = "4096"
	a := serve(t, b, ordersMux())
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		code                     int
	}{
		{"nothing of this site", "POST", "/orders", "{}", []string{"Sec-Fetch-Site", "same-origin"}, http.StatusCreated},
		{"nothing of a program", "POST", "/orders", "{}", nil, http.StatusCreated},
		{"no reading from other sites", "GET", "/orders/1", "", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusOK},
		{"writes from other sites", "POST", "/orders", "{}", []string{"Sec-Fetch-Site", "cross-site"}, http.StatusForbidden},
		{"writes from other sites in old browsers", "POST", "/orders", "{}", []string{"Origin", "https://evil.example"}, http.StatusForbidden},
		{"names that were bound again", "GET", "/orders/1", "", []string{"Host", "evil.example:8080"}, http.StatusMisdirectedRequest},
		{"long bodies", "POST", "/orders", "12345678901", nil, http.StatusRequestEntityTooLarge},
		{"long headers", "GET", "/orders/1", "", []string{"X-Long", strings.Repeat("x", 10_000)}, http.StatusRequestHeaderFieldsTooLarge},
		{"panics", "GET", "/panic", "", nil, http.StatusInternalServerError},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := a.call(t, tc.method, tc.path, tc.body, tc.headers...)
			if got.err != nil || got.code != tc.code {
				t.Errorf("got %+v, want %d", got, tc.code)
			}
			if problem := got.header.Get("Content-Type") == "application/problem+json"; problem &&
				(!strings.Contains(got.body, `"status":`) || strings.Contains(got.body, "secret")) {
				t.Errorf("body %s", got.body)
			}
		})
	}
}

func TestAnAnswerThatBreaksOffIsNoWholeOne(t *testing.T) {
	t.Parallel()
	a := serve(t, offline(t), ordersMux())
	if got := a.call(t, "GET", "/late", ""); got.err == nil {
		t.Errorf("got %+v", got)
	}
	if got := a.call(t, "GET", "/orders/7", ""); got.code != http.StatusOK {
		t.Errorf("afterwards %+v", got)
	}
}

func TestARequestThatRunsIsAnsweredWhenTheProcessStops(t *testing.T) {
	t.Parallel()
	running, leave := make(chan struct{}), make(chan struct{})
	mux := http.NewServeMux()
	var a *api
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		close(running)
		<-leave
		if r.Context().Err() != nil || a.closed.Load() {
			t.Error("it was cut off")
		}
		_, _ = io.WriteString(w, "done")
	})
	a = serve(t, offline(t), mux)
	answers := make(chan reply, 1)
	go func() { answers <- a.call(t, "GET", "/slow", "") }()
	receive(t, running, "request")
	a.stop()
	runtimetest.Eventually(t, "readiness is red and nobody listens", func() bool {
		status, body := a.get(t, "/readyz")
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(a.url, "http://"), time.Second)
		if err == nil {
			conn.Close()
		}
		return status == http.StatusServiceUnavailable && strings.Contains(body, "told to stop") && err != nil
	})
	close(leave)
	if got := receive(t, answers, "answer"); got.code != http.StatusOK || got.body != "done" {
		t.Errorf("got %+v", got)
	}
}

func TestARequestThatTakesTooLongIsToldSo(t *testing.T) {
	t.Parallel()
	wait := func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	t.Run("API_TIMEOUT", func(t *testing.T) {
		t.Parallel()
		b := offline(t)
		b.environment["API_TIMEOUT"] = "50ms"
		a := serve(t, b, http.HandlerFunc(wait))
		if got := a.call(t, "GET", "/", ""); got.code != http.StatusServiceUnavailable {
			t.Errorf("got %+v", got)
		}
	})
	t.Run("DRAIN_TIMEOUT", func(t *testing.T) {
		t.Parallel()
		b := offline(t)
		b.environment["DRAIN_TIMEOUT"] = "50ms"
		running := make(chan struct{})
		a := serve(t, b, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			close(running)
			wait(w, r)
		}))
		answers := make(chan reply, 1)
		go func() { answers <- a.call(t, "GET", "/", "") }()
		receive(t, running, "request")
		a.end(t)
		if got := receive(t, answers, "answer"); got.code != http.StatusServiceUnavailable {
			t.Errorf("got %+v", got)
		}
	})
}

// What a request stores is published, also what the last one does.
func TestTheChoresOfAServiceRun(t *testing.T) {
	t.Parallel()
	b := setup(t)
	outbox := newBox()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{id}", func(_ http.ResponseWriter, r *http.Request) { outbox.put(fact(r.PathValue("id"))) })
	a := serve(t, b, mux, outbox.relay(b.out))
	a.call(t, "POST", "/orders/1", "")
	b.Records(t, b.out, 1)
	a.call(t, "POST", "/orders/2", "")
	a.end(t)
	if got := header(b.Records(t, b.out, 2)[1], "ce_id"); got != "2" {
		t.Errorf("published %s", got)
	}
}

func TestServicesAndFunctionsShareAProcess(t *testing.T) {
	t.Parallel()
	b := setup(t)
	first, second := runtimetest.FreeAddress(t).String(), runtimetest.FreeAddress(t).String()
	b.environment["API_ADDR"] = first + "," + second
	named := func(name string) function.Service {
		return function.Service{Name: name, New: func(function.Lookup) (http.Handler, error) {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, name) }), nil
		}}
	}
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, b.lookup, []function.Spec{b.spec(t)}, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Started: func() { close(started) }, Services: []function.Service{named("shop"), named("stock")},
		})
	}()
	receive(t, started, "start")
	for addr, want := range map[string]string{first: "shop", second: "stock"} {
		if got := (&api{url: "http://" + addr}).call(t, "GET", "/", ""); got.body != want {
			t.Errorf("%s answers %+v, want %s", addr, got, want)
		}
	}
	b.send(t, "a1")
	b.Records(t, b.out, 1)
	cancel()
	if err := receive(t, ended, "end"); err != nil {
		t.Error(err)
	}
}

func TestAServiceThatDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { taken.Close() })
	for _, tc := range []struct {
		name   string
		addr   string
		change func(*function.Service)
		want   string
	}{
		{"port in use", taken.Addr().String(), nil, "API_ADDR: " + taken.Addr().String() + " is in use"},
		{"no address", "8080", nil, "API_ADDR must be host:port"},
		{"no name", "127.0.0.1:0", func(s *function.Service) { s.Name = "Shop" }, `service "Shop": Name must be`},
		{"cannot be made", "127.0.0.1:0", func(s *function.Service) {
			s.New = func(function.Lookup) (http.Handler, error) { return nil, errors.New("no such database") }
		}, "service shop: no such database"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := offline(t)
			b.environment["API_ADDR"] = tc.addr
			service := function.Service{Name: "shop", New: func(function.Lookup) (http.Handler, error) { return http.NotFoundHandler(), nil }}
			if tc.change != nil {
				tc.change(&service)
			}
			err := boot.RunService(t.Context(), b.lookup, service, &boot.Options{Log: slog.New(slog.DiscardHandler)})
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("RunService() = %v, want an error with %q", err, tc.want)
			}
			if _, ok := errors.AsType[*boot.AddressError](err); ok != (tc.name == "port in use") {
				t.Errorf("%T", err)
			}
		})
	}
	t.Run("one address for two", func(t *testing.T) {
		t.Parallel()
		b := offline(t)
		service := function.Service{Name: "shop", New: func(function.Lookup) (http.Handler, error) { return http.NotFoundHandler(), nil }}
		err := boot.RunService(t.Context(), b.lookup, service, &boot.Options{Services: []function.Service{service}})
		if err == nil || !strings.Contains(err.Error(), "API_ADDR must list 2 addresses") {
			t.Errorf("RunService() = %v", err)
		}
	})
}

func TestTheCommandLineOfAService(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"help", []string{"--help"}, 0, "API_ADDR", ""},
		{"help names the service", []string{"-h"}, 0, "shop", ""},
		{"help lists what the service reads itself", []string{"-h"}, 0, "SHOP_SHADE", ""},
		{"unknown argument", []string{"--fast"}, 2, "", "--help lists the variables"},
		{"cannot start", nil, 1, "", "API_TIMEOUT"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := offline(t)
			b.environment["API_TIMEOUT"] = "-1s"
			var stdout, stderr bytes.Buffer
			service := function.Service{
				Name: "shop", New: func(function.Lookup) (http.Handler, error) { return http.NotFoundHandler(), nil },
				Settings: &struct {
					Shade string `env:"SHOP_SHADE" doc:"Of what colour the shop is."`
				}{},
			}
			code := boot.ServeCommand(t.Context(), tc.args, b.lookup, &stdout, &stderr, service)
			if code != tc.code || !strings.Contains(stdout.String(), tc.stdout) || !strings.Contains(stderr.String(), tc.stderr) {
				t.Errorf("exit code %d\n%s\n%s", code, &stdout, &stderr)
			}
		})
	}
}

// What a service writes to the standard logs looks as the environment says, in a process that is its own.
func TestTheStandardLogsOfAProgramAreItsOwn(t *testing.T) {
	t.Parallel()
	addr, stderr := runtimetest.FreeAddress(t).String(), &output{}
	command := exec.CommandContext(t.Context(), os.Args[0])
	command.Env = []string{childService + "=shop", "API_ADDR=" + addr, "HTTP_ADDR=" + runtimetest.FreeAddress(t).String(), "LOG_LEVEL=debug", "LOG_FORMAT=json"}
	command.Stderr = stderr
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	a := &api{url: "http://" + addr}
	runtimetest.Eventually(t, "an answer", func() bool { return a.call(t, "GET", "/told", "").code == http.StatusOK })
	if err := command.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := command.Wait(); err != nil {
		t.Errorf("%v:\n%s", err, stderr)
	}
	all := lines(t, stderr.String())
	for _, text := range []string{"the service tells", "a library tells"} {
		if line := find(t, all, "msg", text); line["service"] != "shop" {
			t.Errorf("line %v", line)
		}
	}
}
