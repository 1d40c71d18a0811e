package money

import (
	"cmp"
	"errors"
	"fmt"
	"math/bits"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
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
type Amount struct {
	// units × 10^-scale; a zero is not negative.
	units    uint64
	scale    uint8
	negative bool
}

// New returns units × 10^-scale: New(9999, 2) is 99.99. A scale outside 0 to [MaxDigits] is [ErrRange].
func New(units int64, scale int) (Amount, error) {
	if scale < 0 || scale > MaxDigits {
		return Amount{}, ErrRange
	}
	return Amount{units: magnitude(units), scale: uint8(scale), negative: units < 0}, nil
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return -uint64(n) //nolint:gosec // right for the smallest int64, too
	}
	return uint64(n)
}

// Parse reads a number in the grammar of JSON (RFC 8259 §6). It never rounds: what does not fit is [ErrRange], what is
// no number is [ErrSyntax].
func Parse(text string) (Amount, error) {
	if len(text) > maxText {
		return Amount{}, ErrRange
	}
	n, ok := scan(text)
	if !ok {
		return Amount{}, ErrSyntax
	}
	return n.amount()
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
func (a Amount) Add(b Amount) (Amount, error) {
	scale := max(a.scale, b.scale)
	x, y := a.at(scale), b.at(scale)
	switch {
	case a.negative == b.negative:
		return x.plus(y).amount(scale, a.negative)
	case x.cmp(y) < 0:
		return y.minus(x).amount(scale, b.negative)
	default:
		return x.minus(y).amount(scale, a.negative)
	}
}

// Sub returns a − b, or [ErrRange].
func (a Amount) Sub(b Amount) (Amount, error) {
	b.negative = !b.negative
	return a.Add(b)
}

// Mul returns a × n, or [ErrRange].
func (a Amount) Mul(n int64) (Amount, error) {
	var product wide
	product.high, product.low = bits.Mul64(a.units, magnitude(n))
	return product.amount(a.scale, a.negative != (n < 0))
}

// Cmp returns -1 if a < b, 0 if they are equal, +1 if a > b.
func (a Amount) Cmp(b Amount) int {
	if a.Sign() != b.Sign() {
		return cmp.Compare(a.Sign(), b.Sign())
	}
	scale := max(a.scale, b.scale)
	return a.Sign() * a.at(scale).cmp(b.at(scale))
}

// Equal reports whether a and b are the same number, however many zeros end them.
func (a Amount) Equal(b Amount) bool { return a.Cmp(b) == 0 }

// Sign returns -1, 0 or +1.
func (a Amount) Sign() int {
	switch {
	case a.units == 0:
		return 0
	case a.negative:
		return -1
	default:
		return 1
	}
}

// IsZero reports whether a is 0. JSON members marked omitzero are left out then.
func (a Amount) IsZero() bool { return a.units == 0 }

// String returns the number without an exponent, with the digits it was written with.
func (a Amount) String() string { return string(a.append(make([]byte, 0, len("-0.")+MaxDigits))) }

func (a Amount) append(text []byte) []byte {
	if a.negative {
		text = append(text, '-')
	}
	digits := strconv.FormatUint(a.units, 10)
	if missing := int(a.scale) + 1 - len(digits); missing > 0 {
		digits = zeros[:missing] + digits
	}
	point := len(digits) - int(a.scale)
	text = append(text, digits[:point]...)
	if a.scale > 0 {
		text = append(append(text, '.'), digits[point:]...)
	}
	return text
}

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
