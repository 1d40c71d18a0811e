package breaker_test

import (
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/breaker"
)

// model is what a circuit does, written down as simply as can be.
type model struct {
	threshold, successes int
	recovery, period     time.Duration

	state    breaker.State
	epoch    int
	failures []time.Time
	probes   int
	probing  bool
	until    time.Time
}

// begun is a call that went through, with the state of the model that it belongs to.
type begun struct {
	call  *breaker.Call
	epoch int
}

func (m *model) to(s breaker.State) {
	m.state, m.failures, m.probes, m.probing = s, nil, 0, false
	m.epoch++
	if s == breaker.Open {
		m.until = time.Now().Add(m.recovery)
	}
}

// settle opens the door for a probe when its time has come.
func (m *model) settle() {
	if m.state == breaker.Open && time.Now().After(m.until) {
		m.to(breaker.HalfOpen)
	}
}

func (m *model) allows() bool {
	return m.state == breaker.Closed || m.state == breaker.HalfOpen && !m.probing
}

// end is the end of a call that began in this epoch.
func (m *model) end(b begun, result string) {
	if b.epoch != m.epoch {
		return
	}
	m.probing = false
	switch {
	case result == "cancel":
	case result == "fail" && m.state == breaker.HalfOpen:
		m.to(breaker.Open)
	case result == "fail":
		m.failures = append(m.failures, time.Now())
		if n := len(m.failures) - m.threshold; n >= 0 && time.Since(m.failures[n]) <= m.period {
			m.to(breaker.Open)
		}
	case m.state == breaker.HalfOpen:
		if m.probes++; m.probes == m.successes {
			m.to(breaker.Closed)
		}
	default:
		m.failures = nil
	}
}

func TestACircuitBehavesAsItsModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(r *rapid.T) {
		// A check that fails panics: it has to leave the bubble to be seen by rapid.
		var failure any
		synctest.Test(t, func(*testing.T) {
			defer func() { failure = recover() }()
			checkModel(r)
		})
		if failure != nil {
			panic(failure)
		}
	})
}

func checkModel(r *rapid.T) {
	m := &model{
		threshold: rapid.IntRange(1, 6).Draw(r, "failure threshold"),
		successes: rapid.IntRange(1, 4).Draw(r, "success threshold"),
		recovery:  time.Duration(rapid.IntRange(1, 30).Draw(r, "recovery")) * time.Second,
		period:    time.Duration(rapid.IntRange(1, 10).Draw(r, "period")) * time.Second,
	}
	o := quiet()
	o.FailureThreshold, o.SuccessThreshold, o.RecoveryTimeout, o.MonitoringPeriod = m.threshold, m.successes, m.recovery, m.period
	b, _ := breaker.NewSet(o).Breaker("smtp")
	var open []begun
	end := func(r *rapid.T, result string) {
		if len(open) == 0 {
			r.Skip("no call runs")
		}
		i := rapid.IntRange(0, len(open)-1).Draw(r, "which")
		c := open[i]
		open = append(open[:i], open[i+1:]...)
		switch result {
		case "succeed":
			c.call.Succeed()
		case "fail":
			c.call.Fail(errRefused)
		default:
			c.call.Cancel()
		}
		m.settle()
		m.end(c, result)
	}
	r.Repeat(map[string]func(*rapid.T){
		"begin": func(r *rapid.T) {
			m.settle()
			call, err := b.Allow()
			if (err == nil) != m.allows() {
				r.Fatalf("Allow() = %v in state %s, probing %t", err, m.state, m.probing)
			}
			if err == nil {
				m.probing = m.state == breaker.HalfOpen
				open = append(open, begun{call, m.epoch})
			}
		},
		"succeed": func(r *rapid.T) { end(r, "succeed") },
		"fail":    func(r *rapid.T) { end(r, "fail") },
		"cancel":  func(r *rapid.T) { end(r, "cancel") },
		"wait": func(r *rapid.T) {
			time.Sleep(time.Duration(rapid.IntRange(1, 3000).Draw(r, "ms")) * time.Millisecond)
		},
		"wait long": func(*rapid.T) { time.Sleep(m.recovery) },
		"": func(r *rapid.T) {
			m.settle()
			if got := b.State(); got != m.state {
				r.Fatalf("the circuit is %s, the model %s", got, m.state)
			}
		},
	})
}
