package pipeline

import (
	"math/rand/v2"
	"time"
)

// Backoff is exponential with jitter: the n-th wait lies between half of First·2ⁿ⁻¹ and all of it, and never above Max.
type Backoff struct {
	First, Max time.Duration
}

// Delay returns the n-th wait, n from 1.
func (b Backoff) Delay(n int) time.Duration {
	d := b.First
	for i := 1; i < n && d < b.Max; i++ {
		d *= 2
	}
	d = min(d, b.Max)
	return d/2 + rand.N(d/2+1)
}
