package breaker

import (
	"cmp"
	"errors"
	"log/slog"
	"time"

	"github.com/millrace/millrace/runtime/function"
)

// The defaults of Options.
const (
	DefaultFailureThreshold = 5
	DefaultRecoveryTimeout  = 30 * time.Second
	DefaultMonitoringPeriod = 10 * time.Second
	DefaultSuccessThreshold = 3
)

// maxThreshold bounds FailureThreshold and SuccessThreshold.
const maxThreshold = 1000

// Options of a Set, the same for each of its circuits. The zero value is the default; a value out of bounds is moved to
// the nearest bound.
type Options struct {
	// FailureThreshold is how many failures in a row open a circuit, 1 to 1,000. Default: 5.
	FailureThreshold int
	// RecoveryTimeout is how long a circuit stays open before a probe goes through. Default: 30 s.
	RecoveryTimeout time.Duration
	// MonitoringPeriod is the time within which the failures in a row must end. Slower ones do not open a circuit.
	// Default: 10 s.
	MonitoringPeriod time.Duration
	// SuccessThreshold is how many probes must succeed in a row before a circuit closes, 1 to 1,000. Default: 3.
	SuccessThreshold int
	// ExpectedErrors are errors that a dependency returns when it is well, compared with errors.Is: they count as
	// successes. Default: none.
	ExpectedErrors []error
	// Log takes a line for each change of a circuit, and one when the Set is full. Default: slog.Default().
	Log *slog.Logger
	// OnChange is told of each change of a circuit, in order. It is called with the circuit locked: it must not block,
	// and must not use the Set. Default: nobody.
	OnChange func(Change)
}

// Change is a change of a circuit.
type Change struct {
	Dependency string
	From, To   State
	// Failures is how many failures in a row led to Open, and Err is the last of them; 0 and nil for other states.
	Failures int
	Err      error
	// NextProbe is when a probe may go through, for Open.
	NextProbe time.Time
}

func (o *Options) complete() Options {
	c := Options{}
	if o != nil {
		c = *o
	}
	c.FailureThreshold = threshold(c.FailureThreshold, DefaultFailureThreshold)
	c.SuccessThreshold = threshold(c.SuccessThreshold, DefaultSuccessThreshold)
	c.RecoveryTimeout = cmp.Or(max(c.RecoveryTimeout, 0), DefaultRecoveryTimeout)
	c.MonitoringPeriod = cmp.Or(max(c.MonitoringPeriod, 0), DefaultMonitoringPeriod)
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.OnChange == nil {
		c.OnChange = func(Change) {}
	}
	return c
}

func threshold(n, standard int) int { return min(cmp.Or(max(n, 0), standard), maxThreshold) }

// expected tells whether a dependency that is well may return err.
func (o *Options) expected(err error) bool {
	for _, known := range o.ExpectedErrors {
		if errors.Is(err, known) {
			return true
		}
	}
	switch function.VerdictOf(err) {
	case function.Done, function.Dropped, function.DeadLetter:
		return true
	default:
		return false
	}
}
