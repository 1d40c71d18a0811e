package money_test

import (
	"testing"

	"github.com/millrace/millrace/cloudevents/money"
)

func TestCurrencyString(t *testing.T) {
	t.Parallel()
	for code, want := range map[money.Currency]string{"": "USD", "EUR": "EUR", "chf": "CHF"} {
		if got := code.String(); got != want {
			t.Errorf("Currency(%q) is %s, want %s", string(code), got, want)
		}
	}
}
