package filter

import (
	"math"
	"strconv"
)

// bounds are the numbers that a numeric condition takes, as doubles.
type bounds struct {
	low, high         float64
	openLow, openHigh bool
}

// numeric reads a list such as ["=", 5], ["<", 5] or [">=", 5, "<", 10]: a lower bound may be followed by an upper one.
func numeric(path []string, operand *tree) (condition, *PatternError) {
	if n := len(operand.items); n != 2 && n != 4 {
		return nil, problem(path, "must be a list of an operator and a number, or of a lower and an upper bound")
	}
	b := bounds{low: math.Inf(-1), high: math.Inf(1)}
	for i := 0; i < len(operand.items); i += 2 {
		if bad := b.narrow(path, operand.items[i], operand.items[i+1]); bad != nil {
			return nil, bad
		}
	}
	if len(operand.items) == 4 && (!isLower(operand.items[0]) || !isUpper(operand.items[2]) || b.low >= b.high) {
		return nil, problem(path, "two bounds are a lower one (> or >=) and then an upper one (< or <=) that is above it")
	}
	return func(leaf *tree) bool {
		if leaf.kind != number {
			return false
		}
		x, err := strconv.ParseFloat(leaf.text, 64)
		return err == nil && b.contain(x)
	}, nil
}

func isLower(operator *tree) bool { return operator.text == ">" || operator.text == ">=" }
func isUpper(operator *tree) bool { return operator.text == "<" || operator.text == "<=" }

func (b *bounds) narrow(path []string, operator, operand *tree) *PatternError {
	x, err := strconv.ParseFloat(operand.text, 64)
	if operator.kind != text || operand.kind != number || err != nil {
		return problem(path, "must have an operator (= < <= > >=) and then a number that a double can hold")
	}
	switch operator.text {
	case "=":
		b.low, b.high = x, x
	case "<", "<=":
		b.high, b.openHigh = x, operator.text == "<"
	case ">", ">=":
		b.low, b.openLow = x, operator.text == ">"
	default:
		return problem(path, "unknown operator %q; there are = < <= > >=", operator.text)
	}
	return nil
}

func (b *bounds) contain(x float64) bool {
	above := x > b.low || x == b.low && !b.openLow
	below := x < b.high || x == b.high && !b.openHigh
	return above && below
}
