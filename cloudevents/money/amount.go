package money

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/shopspring/decimal"
)

// MaxDigits is how many digits an Amount can have, and how many of them may stand behind the point.
const MaxDigits = 19

// The errors of this package. None of them quotes the text that was read: it is part of somebody's payload.
var (
	// ErrSyntax: the text is not a JSON number.
	ErrSyntax = errors.New("money: not a decimal number as JSON writes them, such as 99.99")
	// ErrRange: the number cannot be kept without losing digits.
	ErrRange = fmt.Errorf("money: more than %d digits", MaxDigits)
)

// Amount is an exact decimal number of at most [MaxDigits] digits. It keeps the number of digits behind the point with
// which it was written, but 1.5 and 1.50 are equal: compare with [Amount.Equal] or [Amount.Cmp], not with ==. The zero
// value is 0. An Amount is a value and safe for concurrent use.
//
// In JSON it is written as a number and read from a number or from a string that holds one, which is how databases and
// languages without decimals often pass money on. null reads as 0.
type Amount struct{ value decimal.Decimal }

// New returns units × 10^-scale: New(9999, 2) is 99.99. A scale outside 0 to [MaxDigits] is [ErrRange].
func New(units int64, scale int) (Amount, error) {
	if scale < 0 || scale > MaxDigits {
		return Amount{}, ErrRange
	}
	return Amount{decimal.New(units, int32(-scale))}, nil
}

// Parse reads a number in the grammar of JSON (RFC 8259 §6). It never rounds: what does not fit is [ErrRange], what is
// no number is [ErrSyntax].
func Parse(text string) (Amount, error) {
	plain, err := expand(text)
	if err != nil {
		return Amount{}, err
	}
	value, err := decimal.NewFromString(plain)
	if err != nil {
		return Amount{}, ErrSyntax
	}
	return fitting(value)
}

// MustParse is [Parse] for constants of the program. It panics where Parse returns an error.
func MustParse(text string) Amount {
	a, err := Parse(text)
	if err != nil {
		panic(fmt.Sprintf("money.MustParse(%q): %v", text, err))
	}
	return a
}

// Add returns a + b, or [ErrRange].
func (a Amount) Add(b Amount) (Amount, error) { return fitting(a.value.Add(b.value)) }

// Sub returns a − b, or [ErrRange].
func (a Amount) Sub(b Amount) (Amount, error) { return fitting(a.value.Sub(b.value)) }

// Mul returns a × n, or [ErrRange].
func (a Amount) Mul(n int64) (Amount, error) { return fitting(a.value.Mul(decimal.New(n, 0))) }

// fitting returns the amount of value, which is exact, or [ErrRange].
func fitting(value decimal.Decimal) (Amount, error) {
	if value.NumDigits() > MaxDigits || -value.Exponent() > MaxDigits {
		return Amount{}, ErrRange
	}
	return Amount{value}, nil
}

// Cmp returns -1 if a < b, 0 if they are equal, +1 if a > b.
func (a Amount) Cmp(b Amount) int { return a.value.Cmp(b.value) }

// Equal reports whether a and b are the same number, however many zeros end them.
func (a Amount) Equal(b Amount) bool { return a.Cmp(b) == 0 }

// Sign returns -1, 0 or +1.
func (a Amount) Sign() int { return a.value.Sign() }

// IsZero reports whether a is 0. JSON members marked omitzero are left out then.
func (a Amount) IsZero() bool { return a.value.IsZero() }

// String returns the number without an exponent, with the digits it was written with.
func (a Amount) String() string { return a.value.StringFixed(-a.value.Exponent()) }

// MarshalJSON writes a JSON number.
func (a Amount) MarshalJSON() ([]byte, error) { return []byte(a.String()), nil }

// UnmarshalJSON reads a JSON number, a JSON string that holds one, or null.
func (a *Amount) UnmarshalJSON(data []byte) error {
	text, err := numberText(data)
	if err != nil {
		return err
	}
	*a, err = Parse(text)
	return err
}

func numberText(data []byte) (string, error) {
	if string(data) == "null" {
		return "0", nil
	}
	if len(data) == 0 || data[0] != '"' {
		return string(data), nil
	}
	text, err := jsontext.AppendUnquote(nil, data)
	if err != nil {
		return "", ErrSyntax
	}
	return string(text), nil
}
