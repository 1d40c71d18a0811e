package paymentprovider_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)

// account calls a provider.
type account struct {
	testing.TB
	*paymentprovider.Provider
	client *http.Client
}

func start(t testing.TB, o paymentprovider.Options) *account {
	t.Helper()
	o.Addr, o.Now = "127.0.0.1:0", func() time.Time { return noon }
	p, err := paymentprovider.Start(&o)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	a := &account{TB: t, Provider: p, client: &http.Client{Transport: transport}}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

func (a *account) request(method, path, key, body string) *http.Request {
	a.Helper()
	r, err := http.NewRequestWithContext(a.Context(), method, a.URL()+path, strings.NewReader(body))
	if err != nil {
		a.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	return r
}

// do returns status and body of an answer, or 0 where there was none.
func (a *account) do(r *http.Request) (int, string) {
	a.Helper()
	answer, err := a.client.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		a.Error(err)
	}
	return answer.StatusCode, string(body)
}

func (a *account) post(path, key, body string) (int, string) {
	a.Helper()
	return a.do(a.request(http.MethodPost, path, key, body))
}

// member returns a member of a JSON object, as text.
func (a *account) member(body, name string) string {
	a.Helper()
	var members map[string]any
	if err := json.Unmarshal([]byte(body), &members); err != nil {
		a.Errorf("%v: %s", err, body)
	}
	return fmt.Sprint(members[name])
}

const charge = `{"orderId":"12345","customerId":"c-7","amount":99.90,"currency":"EUR"}`

func refundOf(transaction, amount string) string {
	return fmt.Sprintf(`{"orderId":"12345","transactionId":%q,"amount":%s,"currency":"EUR","reason":"changed my mind"}`, transaction, amount)
}

func TestARepeatedRequestIsAnsweredAsBefore(t *testing.T) {
	t.Parallel()
	var told []paymentprovider.Entry
	a := start(t, paymentprovider.Options{Booked: func(e paymentprovider.Entry) { told = append(told, e) }})
	status, first := a.post("/charges", "pay-1", charge)
	if status != http.StatusCreated || a.member(first, "createdAt") != "2023-12-01T12:00:00Z" || a.member(first, "amount") != "99.9" {
		t.Fatalf("%d %s", status, first)
	}
	// The same, said in other words.
	status, again := a.post("/charges", "pay-1", `{"currency":"eur","customerId":"c-7","amount":"99.9","orderId":"12345"}`)
	if status != http.StatusCreated || again != first {
		t.Errorf("%d %s, want %s", status, again, first)
	}
	id := a.member(first, "id")
	status, refunded := a.post("/refunds", "ref-1", refundOf(id, "99.90"))
	if status != http.StatusCreated || !strings.HasPrefix(a.member(refunded, "id"), "re_") {
		t.Errorf("%d %s", status, refunded)
	}
	if status, again := a.post("/refunds", "ref-1", refundOf(id, "99.90")); status != http.StatusCreated || again != refunded {
		t.Errorf("%d %s, want %s", status, again, refunded)
	}
	if len(told) != 2 || told[0].ID != id || told[1].TransactionID != id {
		t.Errorf("told of %+v, want a charge and a refund", told)
	}
	eur := money.MustParse("99.90")
	want := []paymentprovider.Account{{OrderID: "12345", Charges: 1, Refunds: 1, Charged: eur, Refunded: eur}}
	if diff := cmp.Diff(want, a.Accounts(), cmp.Comparer(money.Amount.Equal)); diff != "" {
		t.Error(diff)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	a := start(t, paymentprovider.Options{})
	_, booked := a.post("/charges", "pay-1", charge)
	id := a.member(booked, "id")
	long := strings.Repeat("x", 2000)
	for _, test := range []struct {
		name, path, key, body string
		status                int
		code                  string
	}{
		{"another amount", "/charges", "pay-1", strings.Replace(charge, "99.90", "99.91", 1), 422, "idempotency_key_reused"},
		{"another kind", "/refunds", "pay-1", refundOf(id, "99.90"), 422, "idempotency_key_reused"},
		{"no key", "/charges", "", charge, 400, "invalid_request"},
		{"long key", "/charges", long, charge, 400, "invalid_request"},
		{"no order", "/charges", "k", strings.Replace(charge, "orderId", "order", 1), 400, "invalid_request"},
		{"nothing", "/charges", "k", strings.Replace(charge, "99.90", "0", 1), 400, "invalid_request"},
		{"negative", "/charges", "k", strings.Replace(charge, "99.90", "-1", 1), 400, "invalid_request"},
		{"odd currency", "/charges", "k", strings.Replace(charge, "EUR", "E R", 1), 400, "invalid_request"},
		{"long customer", "/charges", "k", strings.Replace(charge, "c-7", long, 1), 400, "invalid_request"},
		{"a member twice", "/charges", "k", `{"orderId":"1","orderId":"2","amount":1}`, 400, "invalid_request"},
		{"not JSON", "/charges", "k", "canary", 400, "invalid_request"},
		{"too large", "/charges", "k", strings.Repeat(" ", 65<<10), 400, "invalid_request"},
		{"declined", "/charges", "d-1", strings.Replace(charge, "99.90", "99.130", 1), 402, "card_declined"},
		{"no money", "/charges", "d-2", strings.Replace(charge, "99.90", "0.14", 1), 402, "insufficient_funds"},
		{"of nothing", "/refunds", "k", strings.Replace(refundOf("", "1"), "transactionId", "x", 1), 400, "invalid_request"},
		{"of an unknown charge", "/refunds", "k", refundOf("ch_0", "1"), 404, "unknown_transaction"},
		{"of another order", "/refunds", "k", strings.Replace(refundOf(id, "1"), "12345", "54321", 1), 404, "unknown_transaction"},
		{"in another currency", "/refunds", "k", strings.Replace(refundOf(id, "1"), "EUR", "USD", 1), 404, "unknown_transaction"},
		{"of too much", "/refunds", "k", refundOf(id, "99.91"), 422, "refund_exceeds_charge"},
		{"a part", "/refunds", "part", refundOf(id, "99.89"), 201, ""},
		{"more than is left", "/refunds", "k", refundOf(id, "0.02"), 422, "refund_exceeds_charge"},
		{"paid by hand", "/refunds", "h", `{"orderId":"9","amount":5,"currency":"EUR","paidByHand":true,"transactionId":"txn-1"}`, 201, ""},
	} {
		status, body := a.post(test.path, test.key, test.body)
		if status != test.status || test.code != "" && a.member(body, "code") != test.code || strings.Contains(body, "canary") {
			t.Errorf("%s: %d %s", test.name, status, body)
		}
	}
	if got := a.Charges("12345"); len(got) != 3 || got[0].ID != id || got[1].Declined != "card_declined" || got[2].Declined != "insufficient_funds" {
		t.Errorf("booked %+v", got)
	}
	if got := a.Refunds(""); len(got) != 2 || got[0].Key != "part" || !got[1].PaidByHand {
		t.Errorf("given back %+v", got)
	}
	if status, body := a.do(a.request(http.MethodGet, "/charges?order=9", "", "")); status != http.StatusOK || body != "{\"charges\":[]}\n" {
		t.Errorf("%d %s", status, body)
	}
}

func TestModes(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		mode   paymentprovider.Mode
		status int
		booked int
	}{
		{paymentprovider.Mode{}, 201, 1},
		{paymentprovider.Mode{State: paymentprovider.Up, Delay: time.Millisecond}, 201, 1},
		{paymentprovider.Mode{State: paymentprovider.Declining}, 402, 1},
		{paymentprovider.Mode{State: paymentprovider.Down}, 503, 0},
		{paymentprovider.Mode{State: paymentprovider.Down, Delay: time.Millisecond}, 503, 0},
		{paymentprovider.Mode{State: paymentprovider.Losing}, 0, 1},
	} {
		t.Run(fmt.Sprint(test.mode), func(t *testing.T) {
			t.Parallel()
			a := start(t, paymentprovider.Options{Mode: test.mode})
			if status, body := a.post("/charges", "pay-1", charge); status != test.status {
				t.Errorf("%d %s, want %d", status, body, test.status)
			}
			if got := a.Charges("12345"); len(got) != test.booked {
				t.Errorf("booked %+v, want %d", got, test.booked)
			}
			if err := a.SetMode(paymentprovider.Mode{}); err != nil {
				t.Fatal(err)
			}
			want := http.StatusCreated
			if test.mode.State == paymentprovider.Declining {
				want = http.StatusPaymentRequired // as the first time
			}
			if status, body := a.post("/charges", "pay-1", charge); status != want || len(a.Charges("12345")) != 1 {
				t.Errorf("up again: %d %s, booked %+v", status, body, a.Charges("12345"))
			}
		})
	}
}

// A caller that gives up is not waited for, whether the provider hangs or is slow; what a slow one booked stays booked.
func TestCallersThatGiveUp(t *testing.T) {
	t.Parallel()
	for mode, booked := range map[paymentprovider.Mode]int{
		{State: paymentprovider.Hanging}: 0,
		{Delay: time.Hour}:               1,
	} {
		t.Run(fmt.Sprint(mode), func(t *testing.T) {
			t.Parallel()
			a := start(t, paymentprovider.Options{Mode: mode})
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if status, body := a.do(a.request(http.MethodPost, "/charges", "pay-1", charge).WithContext(ctx)); status != 0 {
				t.Errorf("%d %s", status, body)
			}
			if got := a.Charges(""); len(got) != booked {
				t.Errorf("booked %+v, want %d", got, booked)
			}
		})
	}
}

func TestCloseEndsThoseWhoWait(t *testing.T) {
	t.Parallel()
	a := start(t, paymentprovider.Options{Mode: paymentprovider.Mode{State: paymentprovider.Hanging}})
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if status, body := a.post("/charges", "pay-1", charge); status != 0 {
			t.Errorf("%d %s", status, body)
		}
	})
	begin := time.Now()
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	waiting.Wait()
	if took := time.Since(begin); took > time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestTheModeIsSwitchedByHTTP(t *testing.T) {
	t.Parallel()
	a := start(t, paymentprovider.Options{Key: config.NewSecret("canary")})
	put := func(body string) (int, string) { return a.do(a.request(http.MethodPut, "/mode", "", body)) }
	if status, body := put(`{"state":"down","delay":"1ms"}`); status != http.StatusOK || body != "{\"state\":\"down\",\"delay\":\"1ms\"}\n" {
		t.Errorf("%d %s", status, body)
	}
	want := paymentprovider.Mode{State: paymentprovider.Down, Delay: time.Millisecond}
	for _, wrong := range []string{`{"state":"sleepy"}`, `{"delay":"-1s"}`, `{"delay":"2h"}`, `{"delay":"soon"}`, `down`} {
		if status, body := put(wrong); status != http.StatusBadRequest || a.Mode() != want {
			t.Errorf("%s: %d %s, mode %v", wrong, status, body, a.Mode())
		}
	}
	crossSite := a.request(http.MethodPut, "/mode", "", `{}`)
	crossSite.Header.Set("Sec-Fetch-Site", "cross-site")
	if status, _ := a.do(crossSite); status != http.StatusForbidden {
		t.Errorf("a page of another site: %d", status)
	}
	rebound := a.request(http.MethodGet, "/mode", "", "")
	rebound.Host = "evil.example"
	if status, _ := a.do(rebound); status != http.StatusMisdirectedRequest {
		t.Errorf("another host: %d", status)
	}
	if status, body := put(`{}`); status != http.StatusOK || a.Mode() != (paymentprovider.Mode{State: paymentprovider.Up}) {
		t.Errorf("%d %s", status, body)
	}
}

func TestTheKeyIsAskedFor(t *testing.T) {
	t.Parallel()
	a := start(t, paymentprovider.Options{Key: config.NewSecret("canary")})
	for shown, want := range map[string]int{"": 401, "Bearer ": 401, "Bearer canar": 401, "Bearer canary": 201} {
		r := a.request(http.MethodPost, "/charges", "pay-1", charge)
		r.Header.Set("Authorization", shown)
		if status, body := a.do(r); status != want || strings.Contains(body, "canary") {
			t.Errorf("%q: %d %s", shown, status, body)
		}
	}
	if status, _ := a.do(a.request(http.MethodGet, "/books", "", "")); status != http.StatusUnauthorized {
		t.Errorf("the books without a key: %d", status)
	}
}

func TestBooksOutliveTheProvider(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "books.jsonl")
	a := start(t, paymentprovider.Options{File: file})
	_, first := a.post("/charges", "pay-1", charge)
	_, declined := a.post("/charges", "pay-2", strings.Replace(charge, "99.90", "1.13", 1))
	entries := a.Charges("")
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	// A process that was killed while it wrote.
	content, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, append(content, `{"kind":"charge","key":"pay-3"`...), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}

	for range 2 {
		a = start(t, paymentprovider.Options{File: file})
		if diff := cmp.Diff(entries, a.Charges(""), cmp.Comparer(money.Amount.Equal)); diff != "" {
			t.Error(diff)
		}
		if status, again := a.post("/charges", "pay-1", charge); status != http.StatusCreated || again != first {
			t.Errorf("%d %s, want %s", status, again, first)
		}
		if status, again := a.post("/charges", "pay-2", strings.Replace(charge, "99.90", "1.13", 1)); status != http.StatusPaymentRequired || again != declined {
			t.Errorf("%d %s, want %s", status, again, declined)
		}
		if _, err := a.post("/charges", "pay-3", charge); a.member(err, "id") == "" {
			t.Error("what nobody was told of was kept")
		}
		entries = a.Charges("")
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatDoesNotStart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	spoiled := filepath.Join(t.TempDir(), "spoiled")
	if err := os.WriteFile(spoiled, []byte("canary\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		options paymentprovider.Options
		want    string
	}{
		"port in use":  {paymentprovider.Options{Addr: taken.Addr().String()}, taken.Addr().String()},
		"spoiled file": {paymentprovider.Options{Addr: "127.0.0.1:0", File: spoiled}, spoiled + ": line 1"},
		"no folder":    {paymentprovider.Options{Addr: "127.0.0.1:0", File: filepath.Join(spoiled, "x")}, spoiled},
		"no such mode": {paymentprovider.Options{Addr: "127.0.0.1:0", Mode: paymentprovider.Mode{State: "sleepy"}}, "sleepy"},
	} {
		_, err := paymentprovider.Start(&test.options)
		if err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
		var mode *paymentprovider.ModeError
		if errors.As(err, &mode) != (name == "no such mode") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever is asked at the same time and how often: each key is booked once, and no more goes back than came.
func TestNoMoreGoesBackThanCame(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "books.jsonl")
	a := start(t, paymentprovider.Options{File: file})
	rapid.Check(t, func(rt *rapid.T) {
		order := fmt.Sprintf("o-%d", len(a.Accounts()))
		body := fmt.Sprintf(`{"orderId":%q,"amount":10,"currency":"EUR"}`, order)
		_, booked := a.post("/charges", order, body)
		id := a.member(booked, "id")
		parts := rapid.SliceOfN(rapid.IntRange(1, 10), 1, 8).Draw(rt, "parts")
		var asking sync.WaitGroup
		for i, part := range parts {
			for range 2 {
				asking.Go(func() {
					a.post("/refunds", fmt.Sprintf("%s-%d", order, i),
						fmt.Sprintf(`{"orderId":%q,"transactionId":%q,"amount":%d,"currency":"EUR"}`, order, id, part))
				})
			}
		}
		asking.Wait()
		all := a.Accounts()
		for _, got := range all {
			if got.OrderID == order && (got.Charges != 1 || got.Refunds > len(parts) || got.Refunded.Cmp(got.Charged) > 0) {
				rt.Errorf("%+v after %v", got, parts)
			}
		}
	})
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Count(string(whole), "\n")
	booked := 0
	for _, got := range a.Accounts() {
		booked += got.Charges + got.Refunds
	}
	if lines != booked {
		t.Errorf("%d lines, %d entries", lines, booked)
	}
}
