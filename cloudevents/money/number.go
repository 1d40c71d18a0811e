package money

import (
	"strconv"
	"strings"
)

// maxText bounds the text of a number. The longest that JavaScript writes has 25 characters.
const maxText = 64

// expand checks that text is a JSON number that fits an Amount and returns it without its exponent.
func expand(text string) (string, error) {
	if len(text) > maxText {
		return "", ErrRange
	}
	n, ok := scan(text)
	if !ok {
		return "", ErrSyntax
	}
	if n.exponent == 0 && len(n.whole)+len(n.fraction) <= MaxDigits {
		return text, nil
	}
	return n.plain()
}

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

// plain writes n without an exponent. Zeros at the end of the fraction are given up only where they would not fit.
func (n number) plain() (string, error) {
	coefficient := strings.TrimLeft(n.whole+n.fraction, "0")
	scale := len(n.fraction) - n.exponent
	if coefficient == "" {
		return "0", nil
	}
	for (scale > MaxDigits || len(coefficient) > MaxDigits) && scale > 0 && strings.HasSuffix(coefficient, "0") {
		coefficient, scale = coefficient[:len(coefficient)-1], scale-1
	}
	if scale > MaxDigits || len(coefficient)+max(0, -scale) > MaxDigits {
		return "", ErrRange
	}
	if scale <= 0 {
		return n.sign() + coefficient + strings.Repeat("0", -scale), nil
	}
	coefficient = strings.Repeat("0", max(0, scale+1-len(coefficient))) + coefficient
	point := len(coefficient) - scale
	return n.sign() + coefficient[:point] + "." + coefficient[point:], nil
}

func (n number) sign() string {
	if n.negative {
		return "-"
	}
	return ""
}
