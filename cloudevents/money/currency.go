package money

import "strings"

// DefaultCurrency is what an amount is in when nobody says.
const DefaultCurrency = "USD"

// Currency is an alphabetic code of ISO 4217. The zero value stands for [DefaultCurrency], and is left out of JSON
// members marked omitzero.
type Currency string

// String returns the code in upper case, [DefaultCurrency] for the zero value.
func (c Currency) String() string {
	if c == "" {
		return DefaultCurrency
	}
	return strings.ToUpper(string(c))
}
