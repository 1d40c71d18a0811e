package paymentprovider_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/millrace/millrace/localdev/paymentprovider"
)

// FuzzRequest: whatever is asked is booked under its key, or refused without a trace.
func FuzzRequest(f *testing.F) {
	f.Add("/charges", "k", charge)
	f.Add("/refunds", "k", refundOf("ch_1", "1"))
	f.Add("/refunds", "k", `{"orderId":"9","amount":"5e2","paidByHand":true}`)
	f.Add("/charges", "k", `{"orderId":"\u0000","amount":1e18}`)
	shared := start(f, paymentprovider.Options{})
	f.Fuzz(func(t *testing.T, path, key, body string) {
		if path != "/charges" && path != "/refunds" || strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r > '~' }) {
			return
		}
		a := *shared
		a.TB = t
		before := entries(a.Accounts())
		r := a.request(http.MethodPost, path, "", body)
		r.Header.Set("Idempotency-Key", key)
		status, answer := a.do(r)
		booked := entries(a.Accounts()) - before
		if status/100 != 2 && status/100 != 4 || booked > 1 || booked == 1 && status != http.StatusCreated && status != http.StatusPaymentRequired {
			t.Errorf("%s %q %q: %d %s, booked %d", path, key, body, status, answer, booked)
		}
	})
}

// entries counts what is booked.
func entries(accounts []paymentprovider.Account) int {
	count := 0
	for _, a := range accounts {
		count += a.Charges + a.Declined + a.Refunds
	}
	return count
}

// FuzzFile: a provider starts with a file, or says why not, and then finds again what it booked.
func FuzzFile(f *testing.F) {
	f.Add("")
	f.Add(`{"kind":"charge","key":"pay-0","id":"ch_0","orderId":"1","amount":1,"currency":"EUR","at":"2023-12-01T12:00:00Z"}` + "\n")
	f.Add(`{"kind":"charge","key":"pay-0"`)
	f.Add("\n\n")
	f.Fuzz(func(t *testing.T, content string) {
		file := filepath.Join(t.TempDir(), "books.jsonl")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		options := paymentprovider.Options{Addr: "127.0.0.1:0", File: file}
		first, err := paymentprovider.Start(&options)
		if err != nil {
			return
		}
		before := first.Charges("")
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		second, err := paymentprovider.Start(&options)
		if err != nil {
			t.Fatalf("%q: %v", content, err)
		}
		if after := second.Charges(""); len(after) != len(before) {
			t.Errorf("%q: %d charges, then %d", content, len(before), len(after))
		}
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
}
