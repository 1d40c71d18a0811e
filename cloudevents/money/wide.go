package money

import (
	"cmp"
	"math/bits"
)

// limit is the first number that has more than MaxDigits digits.
const limit = 1e19

// zeros are as many as may have to be written in front of a number.
const zeros = "00000000000000000000"

// powers are those of ten, up to the limit.
var powers = func() (powers [MaxDigits + 1]uint64) {
	power := uint64(1)
	for i := range powers {
		powers[i] = power
		power *= 10
	}
	return powers
}()

// wide is a number of 128 bits: whatever two amounts at the same scale, and their sum, come to.
type wide struct{ high, low uint64 }

// at returns the units of a, without its sign, at a scale that is no smaller than its own.
func (a Amount) at(scale uint8) (w wide) {
	w.high, w.low = bits.Mul64(a.units, powers[scale-a.scale])
	return w
}

func (w wide) cmp(o wide) int { return cmp.Or(cmp.Compare(w.high, o.high), cmp.Compare(w.low, o.low)) }

func (w wide) plus(o wide) (sum wide) {
	var carry uint64
	sum.low, carry = bits.Add64(w.low, o.low, 0)
	sum.high, _ = bits.Add64(w.high, o.high, carry)
	return sum
}

// minus returns w − o, which must not be below 0.
func (w wide) minus(o wide) (difference wide) {
	var borrow uint64
	difference.low, borrow = bits.Sub64(w.low, o.low, 0)
	difference.high, _ = bits.Sub64(w.high, o.high, borrow)
	return difference
}

// amount returns w × 10^-scale, or [ErrRange].
func (w wide) amount(scale uint8, negative bool) (Amount, error) {
	if w.high > 0 || w.low >= limit {
		return Amount{}, ErrRange
	}
	return Amount{units: w.low, scale: scale, negative: negative && w.low != 0}, nil
}
