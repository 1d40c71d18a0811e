package telemetry_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/millrace/millrace/runtime/telemetry"
)

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// serve runs a server on a free port of host until the test ends.
func serve(t *testing.T, host string, handler http.Handler) *telemetry.Server {
	t.Helper()
	server, err := telemetry.NewServer(net.JoinHostPort(host, "0"), handler, quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- server.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return server
}

// ask sends one raw request, so that its Host can be anything, and returns the status.
func ask(t *testing.T, address, request string) int {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(connection, request); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(connection), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestLoopbackAnswersLocalHostsOnly(t *testing.T) {
	t.Parallel()
	mux := telemetry.NewMux(telemetry.NewHealth(), prometheus.NewRegistry())
	server := serve(t, "127.0.0.1", mux)
	_, port, _ := net.SplitHostPort(server.Addr())
	tests := []struct {
		host string
		want int
	}{
		{"localhost", 200},
		{"localhost:" + port, 200},
		{"127.0.0.1:" + port, 200},
		{"127.0.0.1", 200},
		{"[::1]:" + port, 200},
		{"[::1]", 200},
		{"evil.example", 421},
		{"evil.example:" + port, 421},
		{"localhost.evil.example", 421},
		{"localhost.", 421},
		{"127.0.0.1.evil.example:" + port, 421},
		{"127.0.0.11", 421},
		{"127.0.0.1:80:80", 421},
		{"[::1].evil.example", 421},
		{"", 421},
	}
	for _, path := range []string{"/healthz", "/readyz", "/metrics", "/", "//healthz", "/x/../healthz"} {
		for _, test := range tests {
			if path == "/" && test.want == 200 {
				continue
			}
			request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", path, test.host)
			got := ask(t, server.Addr(), request)
			if moved := test.want == 200 && got/100 == 3; got != test.want && !moved {
				t.Errorf("GET %s with Host %q: got %d, want %d", path, test.host, got, test.want)
			}
		}
	}
	if got := ask(t, server.Addr(), "GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"); got != 421 {
		t.Errorf("a foreign host in the request line: got %d", got)
	}
}

func TestOtherInterfacesAnswerEveryHost(t *testing.T) {
	t.Parallel()
	server := serve(t, "0.0.0.0", telemetry.NewMux(telemetry.NewHealth(), prometheus.NewRegistry()))
	_, port, _ := net.SplitHostPort(server.Addr())
	got := ask(t, net.JoinHostPort("127.0.0.1", port), "GET /healthz HTTP/1.1\r\nHost: pod-7.shop.svc\r\n\r\n")
	if got != 200 {
		t.Errorf("got %d", got)
	}
}

func TestServerBoundsHeaders(t *testing.T) {
	t.Parallel()
	server := serve(t, "127.0.0.1", telemetry.NewMux(telemetry.NewHealth(), prometheus.NewRegistry()))
	request := "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Long: " + strings.Repeat("x", 64<<10) + "\r\n\r\n"
	if got := ask(t, server.Addr(), request); got != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("got %d", got)
	}
}

func TestServerServesFurtherPaths(t *testing.T) {
	t.Parallel()
	mux := telemetry.NewMux(telemetry.NewHealth(), prometheus.NewRegistry())
	mux.HandleFunc("POST /orders", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusCreated) })
	server := serve(t, "127.0.0.1", mux)
	if got := ask(t, server.Addr(), "POST /orders HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"); got != 201 {
		t.Errorf("got %d", got)
	}
}

func TestPortInUseNamesTheVariable(t *testing.T) {
	t.Parallel()
	server := serve(t, "127.0.0.1", http.NotFoundHandler())
	_, err := telemetry.NewServer(server.Addr(), http.NotFoundHandler(), quiet())
	if err == nil || !strings.HasPrefix(err.Error(), "HTTP_ADDR: "+server.Addr()+" is in use") {
		t.Errorf("got %v", err)
	}
}

func TestUnusableAddressNamesTheVariable(t *testing.T) {
	t.Parallel()
	_, err := telemetry.NewServer("192.0.2.1:9464", http.NotFoundHandler(), quiet())
	if err == nil || !strings.HasPrefix(err.Error(), "HTTP_ADDR: cannot listen at 192.0.2.1:9464") {
		t.Errorf("got %v", err)
	}
}

func TestServerCanBeOff(t *testing.T) {
	t.Parallel()
	for _, addr := range []string{"", "off"} {
		server, err := telemetry.NewServer(addr, http.NotFoundHandler(), quiet())
		if err != nil || server.Addr() != "" {
			t.Fatalf("%q: got %v at %q", addr, err, server.Addr())
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := server.Serve(ctx); err != nil {
			t.Errorf("%q: %v", addr, err)
		}
	}
}

func TestServeLetsRunningRequestsEnd(t *testing.T) {
	t.Parallel()
	started, release := make(chan struct{}), make(chan struct{})
	server, err := telemetry.NewServer("127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		close(started)
		<-release
		w.WriteHeader(http.StatusTeapot)
	}), quiet())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served, status := make(chan error, 1), make(chan int, 1)
	go func() { served <- server.Serve(ctx) }()
	go func() {
		status <- ask(t, server.Addr(), "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
	}()
	<-started
	cancel()
	for isOpen(t, server.Addr()) {
	}
	close(release)
	if got := <-status; got != http.StatusTeapot {
		t.Errorf("the running request got %d", got)
	}
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}

// isOpen reports whether something listens at address.
func isOpen(t *testing.T, address string) bool {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		return false
	}
	connection.Close()
	return true
}

func TestServeGivesUpOnRequestsThatHang(t *testing.T) {
	t.Parallel()
	started := make(chan struct{})
	server, err := telemetry.NewServer("127.0.0.1:0", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(started)
		<-r.Context().Done()
	}), quiet())
	if err != nil {
		t.Fatal(err)
	}
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	if _, err := io.WriteString(connection, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-started
	cancel()
	if err := <-served; err != nil {
		t.Errorf("Serve: %v", err)
	}
}
