package telemetry

import (
	"maps"
	"net/http"
	"slices"
	"time"
)

// choreCounts are the runs of a chore since the last line.
type choreCounts struct {
	runs, errors int
	took         durations
	// state is how far it is behind, nil where it did not tell.
	state map[string]float64
}

// routeCounts are the requests to a route since the last line.
type routeCounts struct {
	requests, clientErrors, serverErrors int
	took                                 durations
}

// chore returns the counts of a chore. Who calls it holds the lock.
func (m *EMF) chore(name string) *choreCounts {
	c, ok := m.chores[name]
	if !ok {
		c = &choreCounts{}
		m.chores[name] = c
	}
	return c
}

// ChoreMeasured notes how far a chore is behind.
func (m *EMF) ChoreMeasured(s ChoreState) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chore(s.Chore).state = s.Values
}

// ChoreRan counts a run of a chore.
func (m *EMF) ChoreRan(r ChoreRun) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.chore(r.Chore)
	c.runs++
	c.took.add(r.Took)
	if r.Err != nil {
		c.errors++
	}
}

// Answering is for metrics that tell what happens at the moment, which these are not: it does nothing.
func (*EMF) Answering(string) (done func()) { return func() {} }

// Answered counts a request that was answered.
func (m *EMF) Answered(r Request) {
	m.mu.Lock()
	defer m.mu.Unlock()
	route := r.MethodName() + " " + r.Route()
	c, ok := m.routes[route]
	if !ok {
		c = &routeCounts{}
		m.routes[route] = c
	}
	c.requests++
	c.took.add(r.Took)
	switch {
	case r.Code >= http.StatusInternalServerError:
		c.serverErrors++
	case r.Code >= http.StatusBadRequest:
		c.clientErrors++
	}
}

// takeActivity is take for chores and requests. Who calls it holds the lock.
func (m *EMF) takeActivity(at time.Time) []*emfLine {
	var lines []*emfLine
	for _, name := range slices.Sorted(maps.Keys(m.chores)) {
		line, c := m.line(at, dimensionChore, name), m.chores[name]
		line.count("chore_runs_total", c.runs)
		line.count("chore_errors_total", c.errors)
		line.seconds("chore_duration_seconds", &c.took)
		for _, measure := range slices.Sorted(maps.Keys(c.state)) {
			line.add("chore_"+measure, "None", c.state[measure])
		}
		lines = append(lines, line)
		*c = choreCounts{}
	}
	for _, route := range slices.Sorted(maps.Keys(m.routes)) {
		line, c := m.line(at, dimensionRoute, route), m.routes[route]
		line.count("http_requests_total", c.requests)
		line.count("http_client_errors_total", c.clientErrors)
		line.count("http_server_errors_total", c.serverErrors)
		line.seconds("http_request_duration_seconds", &c.took)
		lines = append(lines, line)
		*c = routeCounts{}
	}
	return lines
}
