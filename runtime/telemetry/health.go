package telemetry

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Health gathers what the components of a process report of themselves. Its methods may be called concurrently. Make one
// with [NewHealth].
type Health struct {
	mu        sync.Mutex
	unmet     map[string]error
	topics    int
	consumers map[string]int
	producer  func() bool
	circuits  func() map[string]string
}

// NewHealth returns a Health that is ready, with no topics, no consumers and no producer.
func NewHealth() *Health {
	return &Health{
		unmet:     map[string]error{},
		consumers: map[string]int{},
		producer:  func() bool { return false },
		circuits:  func() map[string]string { return nil },
	}
}

// Set records the state of a component: what keeps it from its work, or nil. A component that needs time to start is set
// to an error first.
func (h *Health) Set(component string, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.set(component, err)
}

func (h *Health) set(component string, err error) {
	if err == nil {
		delete(h.unmet, component)
		return
	}
	h.unmet[component] = err
}

// NotReadyError lists what keeps a process from being ready.
type NotReadyError struct {
	// Conditions are sorted by component; there is at least one.
	Conditions []Condition
}

// Condition is an unmet condition of readiness.
type Condition struct {
	Component string
	Err       error
}

// Error returns the conditions, joined by semicolons.
func (e *NotReadyError) Error() string {
	texts := make([]string, len(e.Conditions))
	for i, c := range e.Conditions {
		texts[i] = fmt.Sprintf("%s: %v", c.Component, c.Err)
	}
	return strings.Join(texts, "; ")
}

// Unwrap returns the errors that components reported.
func (e *NotReadyError) Unwrap() []error {
	errs := make([]error, len(e.Conditions))
	for i, c := range e.Conditions {
		errs[i] = c.Err
	}
	return errs
}

// Ready returns nil when no component reports an error, else a *[NotReadyError].
func (h *Health) Ready() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.unmet) == 0 {
		return nil
	}
	e := &NotReadyError{}
	for _, component := range slices.Sorted(maps.Keys(h.unmet)) {
		e.Conditions = append(e.Conditions, Condition{component, h.unmet[component]})
	}
	return e
}

// SetTopics tells how many topics the process reads.
func (h *Health) SetTopics(n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics = n
}

// SetProducer tells how to find out whether the producer is connected. connected is called for each answer and must not
// block.
func (h *Health) SetProducer(connected func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.producer = connected
}

// SetCircuits tells how to find out the states of circuits by their dependencies. states is called for each answer and
// must not block. An open circuit is no reason not to be ready: the process works as it is meant to.
func (h *Health) SetCircuits(states func() map[string]string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.circuits = states
}

// Joined tells that a consumer takes part in its group. It sets the component that [ConsumerComponent] names to fine.
func (h *Health) Joined(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.consumers[group]++
	h.set(ConsumerComponent(group), nil)
}

// Left tells that a consumer does no longer take part in its group. Without another one in the same group the process is
// not ready.
func (h *Health) Left(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.consumers[group]--; h.consumers[group] <= 0 {
		delete(h.consumers, group)
		h.set(ConsumerComponent(group), errNotMember)
	}
}

// Expect tells that a consumer is about to join group: until it has, the process is not ready.
func (h *Health) Expect(group string) { h.Set(ConsumerComponent(group), errNotMember) }

// ConsumerComponent returns the component that stands for the consumers of a group.
func ConsumerComponent(group string) string { return "consumer group " + group }

var errNotMember = errors.New("not a member of the group: joining, rebalancing or stopped")

// counts are the numbers of the health answer.
type counts struct {
	topics, consumers int
	producer          bool
	circuits          map[string]string
}

func (h *Health) counts() counts {
	h.mu.Lock()
	c := counts{topics: h.topics}
	for _, n := range h.consumers {
		c.consumers += n
	}
	connected, circuits := h.producer, h.circuits
	h.mu.Unlock()
	c.producer, c.circuits = connected(), circuits()
	return c
}
