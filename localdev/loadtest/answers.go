package loadtest

import (
	"math"
	"slices"
	"sync"
	"time"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Result is what a load test found.
type Result struct {
	// Run is the part of the orders' ids that no other run has.
	Run string
	// Sent is how many orders all in-sync replicas have, Took the time from the first one to the last acknowledgement.
	Sent int
	Took time.Duration
	// Matched is how many orders led to the request of a notification, Missing how many did not.
	Matched, Missing int
	// Duplicates are notifications that were seen again under the same id: at-least-once delivery allows it, and consumers
	// tell them by their id. Extra are notifications of other ids for an order that had one: that is a mistake.
	Duplicates, Extra int
	// P50, P95 and P99 are percentiles of the time from the sending of an order to the arrival of its notification.
	P50, P95, P99 time.Duration
}

// PerSecond is how many orders were sent in a second.
func (r Result) PerSecond() float64 {
	if r.Took <= 0 {
		return 0
	}
	return float64(r.Sent) / r.Took.Seconds()
}

// answers match notifications to the orders that caused them. Its methods may be called concurrently.
type answers struct {
	mu     sync.Mutex
	want   int
	orders map[string]*answer // by the id of the order's event
	took   []time.Duration
	again  int
	extra  int
}

type answer struct {
	sent         time.Time
	notification string // the id, empty before there is one
}

func newAnswers(want int) *answers {
	return &answers{want: want, orders: make(map[string]*answer, want)}
}

func (a *answers) expect(eventIDs []string, sent time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, id := range eventIDs {
		a.orders[id] = &answer{sent: sent}
	}
}

// take counts a record of notification-events that is a request caused by one of our orders, and no other.
func (a *answers) take(r *pipeline.Record, now time.Time) {
	e, err := text.Decode(r.Message)
	if err != nil || e.Type() != notification.RequestedType {
		return
	}
	cause, _ := e.Extensions()["causationid"].(string)
	a.mu.Lock()
	defer a.mu.Unlock()
	order, ours := a.orders[cause]
	switch {
	case !ours:
	case order.notification == "":
		order.notification = e.ID()
		a.took = append(a.took, now.Sub(order.sent))
	case order.notification == e.ID():
		a.again++
	default:
		a.extra++
	}
}

func (a *answers) complete() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.took) == a.want
}

func (a *answers) report(r *Result) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r.Matched, r.Missing = len(a.took), len(a.orders)-len(a.took)
	r.Duplicates, r.Extra = a.again, a.extra
	sorted := slices.Sorted(slices.Values(a.took))
	r.P50, r.P95, r.P99 = percentile(sorted, 50), percentile(sorted, 95), percentile(sorted, 99)
}

// percentile returns the smallest value that p percent of the values do not exceed (nearest rank).
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[int(math.Ceil(p/100*float64(len(sorted))))-1]
}
