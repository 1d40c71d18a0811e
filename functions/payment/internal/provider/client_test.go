package provider_test

import (
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/functions/payment/internal/provider"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	key    = config.NewSecret("canary-key")
	charge = provider.Charge{OrderID: "12345", CustomerID: "c-7", Amount: money.MustParse("99.90"), Currency: "EUR"}
)

const receipt = `{"id":"ch_1","amount":99.9,"currency":"EUR","method":"card","createdAt":"2023-12-01T13:00:00+01:00"}`

// newClient returns a client of whoever listens at url, below a path.
func newClient(t testing.TB, url string, o *provider.Options) *provider.Client {
	t.Helper()
	address, err := provider.ParseAddress(url)
	if err != nil {
		t.Fatal(err)
	}
	c := provider.New(address, key, o)
	t.Cleanup(c.Close)
	return c
}

// serve answers each request by handle.
func serve(t testing.TB, handle http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handle)
	t.Cleanup(server.Close)
	return server.URL
}

func TestWhatIsAsked(t *testing.T) {
	t.Parallel()
	type asked struct{ method, path, body, key, authorization, contentType string }
	var got asked
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = asked{
			r.Method, r.URL.Path, string(body), r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"),
			r.Header.Get("Content-Type"),
		}
		w.WriteHeader(http.StatusCreated)
		io.WriteString(w, receipt)
	})
	c := newClient(t, url+"/v1/", nil)
	at := time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)
	r, err := c.Charge(t.Context(), "pay_1", charge)
	if want := (provider.Receipt{TransactionID: "ch_1", Method: "card", At: at}); r != want || err != nil {
		t.Errorf("got %+v, %v, want %+v", r, err, want)
	}
	want := asked{
		"POST", "/v1/charges", `{"orderId":"12345","customerId":"c-7","amount":99.90,"currency":"EUR"}`, "pay_1", "Bearer canary-key",
		"application/json",
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	_, err = c.Refund(t.Context(), "ref_1", provider.Refund{
		TransactionID: "ch_1", OrderID: "12345", Amount: charge.Amount, Currency: "EUR", PaidByHand: true, Reason: "late",
	})
	want.path, want.key = "/v1/refunds", "ref_1"
	want.body = `{"transactionId":"ch_1","orderId":"12345","amount":99.90,"currency":"EUR","paidByHand":true,"reason":"late"}`
	if err != nil || got != want {
		t.Errorf("%v\ngot  %+v\nwant %+v", err, got, want)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	const refused = `{"code":"some_code","message":"canary"}`
	for _, test := range []struct {
		name    string
		status  int
		body    string
		verdict function.Verdict
		says    string
	}{
		{"created", 201, receipt, function.Done, ""},
		{"repeated", 200, receipt, function.Done, ""},
		{"digits", 200, strings.Replace(receipt, "99.9", `"99.900"`, 1), function.Done, ""},
		{"no body", 201, "", function.Retry, "no receipt"},
		{"no JSON", 201, "canary", function.Retry, "no receipt"},
		{"no id", 201, strings.Replace(receipt, "ch_1", "", 1), function.Retry, "no receipt"},
		{"odd id", 201, strings.Replace(receipt, "ch_1", `ch\u0000`, 1), function.Retry, "no receipt"},
		{"long id", 201, strings.Replace(receipt, "ch_1", strings.Repeat("x", 257), 1), function.Retry, "no receipt"},
		{"no time", 201, strings.Replace(receipt, "createdAt", "at", 1), function.Retry, "no receipt"},
		{"another amount", 201, strings.Replace(receipt, "99.9", "99.91", 1), function.Retry, "another amount"},
		{"another currency", 201, strings.Replace(receipt, "EUR", "USD", 1), function.Retry, "another amount"},
		{"endless", 201, strings.Repeat(" ", 65<<10), function.Broken, "more than 65536 bytes"},
		{"redirect", 307, refused, function.Broken, "answered 307"},
		{"malformed", 400, refused, function.DeadLetter, "answered 400, some_code"},
		{"wrong key", 401, refused, function.Broken, "answered 401"},
		{"forbidden", 403, "", function.Broken, "answered 403"},
		{"no such page", 404, "canary", function.Broken, "answered 404"},
		{"no such transaction", 404, refused, function.DeadLetter, "answered 404, some_code"},
		{"no such method", 405, "", function.Broken, "answered 405"},
		{"slow request", 408, "", function.Broken, "answered 408"},
		{"under way", 409, refused, function.Broken, "answered 409, some_code"},
		{"key reused", 422, refused, function.DeadLetter, "answered 422, some_code"},
		{"odd code", 422, `{"code":"Canary!"}`, function.DeadLetter, "answered 422"},
		{"too early", 425, "", function.Broken, "answered 425"},
		{"too many", 429, "", function.Broken, "answered 429"},
		{"broken", 500, refused, function.Broken, "answered 500"},
		{"down", 503, "", function.Broken, "answered 503"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Location", "http://127.0.0.1:1/canary")
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			})
			_, err := newClient(t, url+"/canary", nil).Charge(t.Context(), "canary", charge)
			if function.VerdictOf(err) != test.verdict || test.says != "" && !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %s that says %s", err, test.verdict, test.says)
			}
			if err != nil && (strings.Contains(strings.ToLower(err.Error()), "canary") || !strings.Contains(err.Error(), strings.TrimPrefix(url, "http://"))) {
				t.Errorf("the error tells too much or too little: %v", err)
			}
			requireDependency(t, err)
		})
	}
}

// A request that is still being worked on spends no attempt, and says nothing against the provider: other orders are charged.
func TestARequestThatIsUnderWayIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusConflict, http.StatusTooEarly} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		_, err := newClient(t, url, nil).Charge(t.Context(), "pay_1", charge)
		wait, waits := errors.AsType[*function.WaitError](err)
		if _, down := errors.AsType[*function.UnavailableError](err); !waits || wait.Circuit != "" || down {
			t.Errorf("%d: got %#v", status, err)
		}
	}
}

// requireDependency checks that whoever is down has a name.
func requireDependency(t *testing.T, err error) {
	t.Helper()
	var down *function.UnavailableError
	if errors.As(err, &down) && down.Dependency != "payment-provider" {
		t.Errorf("%s is down, want payment-provider", down.Dependency)
	}
}

func TestDeclined(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]provider.DeclinedError{
		`{"code":"card_declined","message":"Your card\nwas declined. "}`: {Code: "card_declined", Reason: "Your card was declined."},
		`{"code":"card_declined"}`:                                       {Code: "card_declined", Reason: "card declined"},
		`{"code":"CARD","message":"no"}`:                                 {Reason: "declined"},
		`{}`:                                                             {Reason: "declined"},
		`no`:                                                             {Reason: "declined"},
		`{"code":"x","message":"` + strings.Repeat("ä", 300) + `"}`:  {Code: "x", Reason: strings.Repeat("ä", 128)},
		`{"code":"x","message":"x` + strings.Repeat("ä", 300) + `"}`: {Code: "x", Reason: "x" + strings.Repeat("ä", 127)},
	} {
		url := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusPaymentRequired)
			io.WriteString(w, body)
		})
		_, err := newClient(t, url, nil).Charge(t.Context(), "pay_1", charge)
		var got *provider.DeclinedError
		if !errors.As(err, &got) || *got != want {
			t.Errorf("%s: got %v, want %+v", body, err, want)
		}
	}
}

func TestNoAnswer(t *testing.T) {
	t.Parallel()
	silent := make(chan struct{})
	hanging := serve(t, func(http.ResponseWriter, *http.Request) { <-silent })
	t.Cleanup(func() { close(silent) })
	cutOff := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		io.WriteString(w, "{")
	})
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	secure.Config.ErrorLog = nil
	t.Cleanup(secure.Close)
	for name, url := range map[string]string{
		"nobody listens": "http://127.0.0.1:1", "hanging": hanging, "cut off": cutOff, "a certificate of nobody": secure.URL,
		"no TLS": strings.Replace(hanging, "http:", "https:", 1), "no such host": "https://provider.invalid",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newClient(t, url+"/canary", &provider.Options{Timeout: 200 * time.Millisecond}).Charge(t.Context(), "canary", charge)
			if function.VerdictOf(err) != function.Broken || strings.Contains(err.Error(), "canary") {
				t.Errorf("got %v", err)
			}
			requireDependency(t, err)
		})
	}
}

func TestTheCertificateIsVerified(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, receipt) }))
	t.Cleanup(server.Close)
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	if _, err := newClient(t, server.URL, &provider.Options{RootCAs: roots}).Charge(t.Context(), "pay_1", charge); err != nil {
		t.Error(err)
	}
	// The certificate is for 127.0.0.1 and example.com.
	_, port, err := net.SplitHostPort(server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = newClient(t, "https://localhost:"+port, &provider.Options{RootCAs: roots}).Charge(t.Context(), "pay_1", charge)
	if _, wrong := errors.AsType[x509.HostnameError](err); !wrong {
		t.Errorf("got %v", err)
	}
}

// A process that has to leave gives up; that is no failure of the provider.
func TestGivenUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel()
		<-r.Context().Done()
	})
	_, err := newClient(t, url, nil).Charge(ctx, "pay_1", charge)
	if !errors.Is(err, context.Canceled) || function.VerdictOf(err) != function.Retry {
		t.Errorf("got %v", err)
	}
}

// The provider of local development speaks as this client does.
func TestAgainstTheLocalProvider(t *testing.T) {
	t.Parallel()
	p, err := paymentprovider.Start(&paymentprovider.Options{Addr: "127.0.0.1:0", Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	c := newClient(t, p.URL(), nil)
	first, err := c.Charge(t.Context(), "pay_1", charge)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := c.Charge(t.Context(), "pay_1", charge); again != first || err != nil {
		t.Errorf("got %+v, %v, want %+v", again, err, first)
	}
	other := charge
	other.Amount = money.MustParse("1.13")
	if _, err := c.Charge(t.Context(), "pay_1", other); function.VerdictOf(err) != function.DeadLetter {
		t.Errorf("another charge with the same id: %v", err)
	}
	var declined *provider.DeclinedError
	if _, err := c.Charge(t.Context(), "pay_2", other); !errors.As(err, &declined) || declined.Reason != "card declined" {
		t.Errorf("got %v, want declined", err)
	}
	refund := provider.Refund{TransactionID: first.TransactionID, OrderID: "12345", Amount: charge.Amount, Currency: "EUR"}
	if _, err := c.Refund(t.Context(), "ref_1", refund); err != nil {
		t.Error(err)
	}
	refund.TransactionID = "ch_unknown"
	if _, err := c.Refund(t.Context(), "ref_2", refund); function.VerdictOf(err) != function.DeadLetter {
		t.Errorf("a refund of nothing: %v", err)
	}
}

func TestParseAddress(t *testing.T) {
	t.Parallel()
	for text, ok := range map[string]bool{
		"https://psp.example":             true,
		"https://psp.example:8443/v1":     true,
		"http://127.0.0.1:1082":           true,
		"http://[::1]:1082/":              true,
		"http://localhost:1082":           true,
		"http://psp.example":              false,
		"http://10.0.0.1":                 false,
		"http://localhost.evil.example":   false,
		"https://canary:canary@psp.local": false,
		"https://psp.example/?canary=1":   false,
		"https://psp.example/#canary":     false,
		"ftp://127.0.0.1/canary":          false,
		"psp.example/canary":              false,
		"https://%zz/canary":              false,
		"":                                false,
	} {
		if _, err := provider.ParseAddress(text); (err == nil) != ok || err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// FuzzAnswer: whatever a provider answers, there is a receipt of what was asked for or an error, and neither holds
// what could spoil a log line or a table.
func FuzzAnswer(f *testing.F) {
	f.Add(201, receipt)
	f.Add(402, `{"code":"card_declined","message":"card declined"}`)
	f.Add(422, `{"code":"idempotency_key_reused"}`)
	f.Add(500, "")
	type answer struct {
		status int
		body   string
	}
	var next answer
	url := serve(f, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(next.status)
		io.WriteString(w, next.body)
	})
	c := newClient(f, url, nil)
	f.Fuzz(func(t *testing.T, status int, body string) {
		if status < 200 || status > 999 {
			return
		}
		next = answer{status, body}
		r, err := c.Charge(t.Context(), "pay_1", charge)
		text := r.TransactionID + r.Method
		if declined, ok := errors.AsType[*provider.DeclinedError](err); ok {
			text = declined.Code + declined.Reason
		}
		if (err == nil) != (r.TransactionID != "") || text != provider.Line(text) && len(text) <= 256 {
			t.Errorf("%d %q: got %+v, %v", status, body, r, err)
		}
	})
}
