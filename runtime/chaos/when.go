package chaos

import "sync/atomic"

// When tells whether a fault strikes the n-th call, n from 1. It is called from many goroutines.
type When func(n int64) bool

// Always strikes each call.
func Always() When { return func(int64) bool { return true } }

// Nth strikes the n-th call and no other.
func Nth(n int64) When { return func(call int64) bool { return call == n } }

// First strikes the first n calls.
func First(n int64) When { return func(call int64) bool { return call <= n } }

// Every strikes each n-th call: n, 2n, and so on. It strikes none where n is not positive.
func Every(n int64) When { return func(call int64) bool { return n > 0 && call%n == 0 } }

// counter numbers calls.
type counter struct{ calls atomic.Int64 }

// struck counts a call and tells whether when means it.
func (c *counter) struck(when When) bool { return when(c.calls.Add(1)) }
