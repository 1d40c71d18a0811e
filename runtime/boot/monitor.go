//go:build !lambda.norpc

package boot

import (
	"fmt"
	"sync"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/telemetry"
)

// monitor passes what consumers report on to health and metrics.
type monitor struct {
	*telemetry.Health
	*meter

	started func()
	// groups is how many there are to join.
	groups int

	mu sync.Mutex
	// missing are the groups that were not joined yet.
	missing map[string]bool
}

func newMonitor(metrics *meter, specs []function.Spec, started func()) *monitor {
	m := &monitor{Health: telemetry.NewHealth(), meter: metrics, started: started, missing: map[string]bool{}}
	topics := map[string]bool{}
	for _, spec := range specs {
		topics[spec.Topic], m.missing[spec.Group] = true, true
		m.Expect(spec.Group)
	}
	m.SetTopics(len(topics))
	m.groups = len(m.missing)
	return m
}

// begin notes that the process works. Where there are no groups to join, it has started with that.
func (m *monitor) begin() {
	if m.groups == 0 && m.started != nil {
		m.started()
	}
}

// Stuck has readiness name a partition that is not read, and why.
func (m *monitor) Stuck(group, topic string, partition int32, err error) {
	m.Set(fmt.Sprintf("%s/%d, read by %s", topic, partition, group), err)
}

// Committing has readiness say that commits fail.
func (m *monitor) Committing(group string, err error) { m.Set("commits of "+group, err) }

// Joined notes that a group was joined, for the first time or again.
func (m *monitor) Joined(group string) {
	m.Health.Joined(group)
	m.mu.Lock()
	last := m.missing[group] && len(m.missing) == 1
	delete(m.missing, group)
	m.mu.Unlock()
	if last && m.started != nil {
		m.started()
	}
}
