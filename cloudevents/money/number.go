package money

import (
	"strconv"
	"strings"
)

// maxText bounds the text of a number. The longest that JavaScript writes has 25 characters.
const maxText = 64

// number is the parts of a JSON number: sign, whole . fraction e exponent.
type number struct {
	negative        bool
	whole, fraction string
	exponent        int
}

// scan takes text apart; ok is false where it is not a JSON number.
func scan(text string) (n number, ok bool) {
	text, n.negative = strings.CutPrefix(text, "-")
	n.whole, text = digits(text)
	if n.whole == "" || (len(n.whole) > 1 && n.whole[0] == '0') {
		return number{}, false
	}
	if rest, found := strings.CutPrefix(text, "."); found {
		if n.fraction, text = digits(rest); n.fraction == "" {
			return number{}, false
		}
	}
	if text == "" {
		return n, true
	}
	n.exponent, ok = exponent(text)
	return n, ok
}

// digits splits text behind its leading digits.
func digits(text string) (run, rest string) {
	i := 0
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

// exponent reads "e5", "E+5" or "e-5". Beyond 1,000 the value does not matter, only its sign.
func exponent(text string) (value int, ok bool) {
	if text[0] != 'e' && text[0] != 'E' {
		return 0, false
	}
	text, negative := strings.CutPrefix(text[1:], "-")
	if !negative {
		text = strings.TrimPrefix(text, "+")
	}
	run, rest := digits(text)
	if run == "" || rest != "" {
		return 0, false
	}
	value, err := strconv.Atoi(run)
	if err != nil || value > 1000 {
		value = 1000
	}
	if negative {
		value = -value
	}
	return value, true
}

// amount returns the value of n. Zeros at the end of the fraction are given up only where they would not fit.
func (n number) amount() (Amount, error) {
	coefficient := strings.TrimLeft(n.whole+n.fraction, "0")
	scale := len(n.fraction) - n.exponent
	if coefficient == "" {
		return n.zero(), nil
	}
	for (scale > MaxDigits || len(coefficient) > MaxDigits) && scale > 0 && strings.HasSuffix(coefficient, "0") {
		coefficient, scale = coefficient[:len(coefficient)-1], scale-1
	}
	if scale > MaxDigits || len(coefficient)+max(0, -scale) > MaxDigits {
		return Amount{}, ErrRange
	}
	units, err := strconv.ParseUint(coefficient, 10, 64)
	if err != nil { // digits that fit are a number
		return Amount{}, ErrSyntax
	}
	if scale < 0 {
		units, scale = units*powers[-scale], 0
	}
	return Amount{units: units, scale: uint8(scale), negative: n.negative}, nil
}

// zero keeps its zeros where they fit and no exponent moves them.
func (n number) zero() Amount {
	if n.exponent == 0 && len(n.whole)+len(n.fraction) <= MaxDigits {
		return Amount{scale: uint8(len(n.fraction))} //nolint:gosec // no more than MaxDigits
	}
	return Amount{}
}
