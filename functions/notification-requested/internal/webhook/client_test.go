package webhook_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/functions/notification-requested/internal/webhook"
	"github.com/millrace/millrace/runtime/function"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

func newKeys(t testing.TB, text string) []webhook.Key {
	t.Helper()
	keys, err := webhook.ParseKeys(text)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func newClient(t testing.TB, address string, opts *webhook.Options) *webhook.Client {
	t.Helper()
	a, err := webhook.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	return webhook.New(a, newKeys(t, secret), opts)
}

func newServer(t testing.TB, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server
}

func TestPost(t *testing.T) {
	t.Parallel()
	requests := make(chan *http.Request, 1)
	bodies := make(chan string, 1)
	server := newServer(t, func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- r
		bodies <- string(body)
	})
	client := newClient(t, server.URL+"/notifications?token=canary", nil)
	if err := client.Post(t.Context(), "event-1", []byte(`{"a":1}`)); err != nil {
		t.Fatal(err)
	}
	r, body := <-requests, <-bodies
	if r.Method != http.MethodPost || r.URL.RequestURI() != "/notifications?token=canary" || body != `{"a":1}` {
		t.Errorf("got %s %s %s", r.Method, r.URL, body)
	}
	seconds, err := strconv.ParseInt(r.Header.Get("Webhook-Timestamp"), 10, 64)
	if err != nil || time.Since(time.Unix(seconds, 0)).Abs() > time.Minute {
		t.Errorf("webhook-timestamp %q is not now", r.Header.Get("Webhook-Timestamp"))
	}
	want := webhook.Sign(newKeys(t, secret), "event-1", time.Unix(seconds, 0), []byte(body))
	if r.Header.Get("Webhook-Id") != "event-1" || r.Header.Get("Webhook-Signature") != want {
		t.Errorf("got %v, want signature %s", r.Header, want)
	}
	if r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Accept-Encoding") != "" {
		t.Errorf("got %v", r.Header)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	inAnHour := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	tests := []struct {
		code       int
		retryAfter string
		want       function.Verdict
		after      time.Duration
	}{
		{200, "", function.Done, 0},
		{202, "", function.Done, 0},
		{204, "", function.Done, 0},
		{300, "", function.DeadLetter, 0},
		{304, "", function.DeadLetter, 0},
		{400, "", function.DeadLetter, 0},
		{401, "", function.DeadLetter, 0},
		{404, "", function.DeadLetter, 0},
		{408, "", function.Retry, 0},
		{410, "", function.DeadLetter, 0},
		{413, "", function.DeadLetter, 0},
		{425, "", function.Retry, 0},
		{429, "", function.Retry, 0},
		{429, "7", function.Retry, 7 * time.Second},
		{429, "0", function.Retry, time.Second},
		{429, "2147483647", function.Retry, 5 * time.Minute},
		{429, inAnHour, function.Retry, 5 * time.Minute},
		{429, "Fri, 01 Dec 2023 10:00:00 GMT", function.Retry, time.Second},
		{429, "-5", function.Retry, 0},
		{429, "soon", function.Retry, 0},
		{429, "9999999999999999999999", function.Retry, 0},
		{500, "", function.Retry, 0},
		{501, "", function.Retry, 0},
		{502, "", function.Broken, 0},
		{503, "", function.Broken, 0},
		{503, "30", function.Broken, 30 * time.Second},
		{504, "", function.Broken, 0},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d %s", test.code, test.retryAfter), func(t *testing.T) {
			t.Parallel()
			server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
				if test.retryAfter != "" {
					w.Header().Set("Retry-After", test.retryAfter)
				}
				w.WriteHeader(test.code)
			})
			err := newClient(t, server.URL+"?token=canary", nil).Post(t.Context(), "event-1", []byte(`{}`))
			if got := function.VerdictOf(err); got != test.want {
				t.Errorf("verdict %s of %v, want %s", got, err, test.want)
			}
			var after *function.RetryAfterError
			if errors.As(err, &after) != (test.after != 0) || after != nil && after.After != test.after {
				t.Errorf("got %+v, want after %s", after, test.after)
			}
			if err != nil && (!strings.Contains(err.Error(), strconv.Itoa(test.code)) || strings.Contains(err.Error(), "canary")) {
				t.Errorf("the error must have the code and not the query: %v", err)
			}
		})
	}
}

func TestRedirectIsRefused(t *testing.T) {
	t.Parallel()
	var followed atomic.Bool
	target := newServer(t, func(http.ResponseWriter, *http.Request) { followed.Store(true) })
	for _, code := range []int{301, 302, 303, 307, 308} {
		server := newServer(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, target.URL, code) })
		err := newClient(t, server.URL, nil).Post(t.Context(), "event-1", []byte(`{}`))
		if function.VerdictOf(err) != function.DeadLetter || !strings.Contains(err.Error(), "redirects are not followed") {
			t.Errorf("%d: got %v", code, err)
		}
	}
	if followed.Load() {
		t.Error("the redirect was followed")
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	server := newServer(t, nil)
	server.Close()
	err := newClient(t, server.URL+"/secret-path", nil).Post(t.Context(), "event-1", []byte(`{}`))
	var unavailable *function.UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Dependency != "webhook" {
		t.Errorf("got %v, want unavailable webhook", err)
	}
	if !strings.Contains(err.Error(), strings.TrimPrefix(server.URL, "http://")) || strings.Contains(err.Error(), "secret-path") {
		t.Errorf("the error must name the host and not the path: %v", err)
	}
}

// A receiver that took the request may have acted on it: its silence is tried again a bounded number of times.
func TestSilentServer(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := newServer(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	err := newClient(t, server.URL, &webhook.Options{Timeout: 100 * time.Millisecond}).Post(t.Context(), "event-1", []byte(`{}`))
	if err == nil || function.VerdictOf(err) != function.Retry {
		t.Errorf("got %v, want a plain error", err)
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	release, reached := make(chan struct{}), make(chan struct{})
	server := newServer(t, func(http.ResponseWriter, *http.Request) {
		close(reached)
		<-release
	})
	defer close(release)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	err := newClient(t, server.URL, nil).Post(ctx, "event-1", []byte(`{}`))
	if !errors.Is(err, context.Canceled) || function.VerdictOf(err) != function.Retry {
		t.Errorf("got %v, want a plain context.Canceled", err)
	}
}

func TestCancelledBeforehand(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := newClient(t, "http://127.0.0.1:1/", nil).Post(ctx, "event-1", []byte(`{}`))
	if !errors.Is(err, context.Canceled) || function.VerdictOf(err) != function.Retry {
		t.Errorf("got %v, want a plain context.Canceled", err)
	}
}

// An answer without end costs neither memory nor time.
func TestEndlessAnswer(t *testing.T) {
	t.Parallel()
	sent := make(chan int64, 1)
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(10<<30))
		var n int64
		for chunk := make([]byte, 64<<10); ; n += int64(len(chunk)) {
			if _, err := w.Write(chunk); err != nil {
				sent <- n
				return
			}
		}
	})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if err := newClient(t, server.URL, nil).Post(t.Context(), "event-1", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if n := <-sent; n > 64<<20 {
		t.Errorf("the server could send %d bytes", n)
	}
	if grown := int64(after.TotalAlloc) - int64(before.TotalAlloc); grown > 64<<20 {
		t.Errorf("%d bytes were allocated", grown)
	}
}

func TestDrippingAnswer(t *testing.T) {
	t.Parallel()
	server := newServer(t, func(w http.ResponseWriter, r *http.Request) {
		flush := http.NewResponseController(w)
		for r.Context().Err() == nil {
			_, _ = io.WriteString(w, "x")
			_ = flush.Flush()
			select {
			case <-time.After(10 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
	})
	started := time.Now()
	err := newClient(t, server.URL, &webhook.Options{Timeout: 200 * time.Millisecond}).Post(t.Context(), "event-1", []byte(`{}`))
	if err != nil || time.Since(started) > 5*time.Second {
		t.Errorf("got %v after %s, want success after 200 ms", err, time.Since(started))
	}
}

func TestHugeHeader(t *testing.T) {
	t.Parallel()
	server := newServer(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("x", 1<<20))
	})
	err := newClient(t, server.URL, nil).Post(t.Context(), "event-1", []byte(`{}`))
	if err == nil || len(err.Error()) > 300 {
		t.Errorf("got %.300v, want a short error", err)
	}
}

// The client shares nothing with net/http's own.
func TestDefaultClientIsUntouched(t *testing.T) {
	t.Parallel()
	server := newServer(t, func(http.ResponseWriter, *http.Request) {})
	if err := newClient(t, server.URL, nil).Post(t.Context(), "event-1", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	if http.DefaultClient.Transport != nil || http.DefaultClient.CheckRedirect != nil {
		t.Error("http.DefaultClient was changed")
	}
}

// Addresses inside are refused when they are dialled, for good: TestRules has the table.
func TestRefusedAddress(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	for _, host := range []string{"169.254.169.254", "[::ffff:169.254.169.254]", "10.0.0.1", "[fd00:ec2::254]", "0.0.0.0", "[64:ff9b::a9fe:a9fe]"} {
		client := newClient(t, "https://"+net.JoinHostPort(strings.Trim(host, "[]"), port), nil)
		err := client.Post(t.Context(), "event-1", []byte(`{}`))
		var refused *webhook.RefusedAddressError
		if !errors.As(err, &refused) || function.VerdictOf(err) != function.DeadLetter {
			t.Errorf("%s: got %v, want a refused address", host, err)
		}
	}
}
