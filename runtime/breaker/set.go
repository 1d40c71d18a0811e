package breaker

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
)

const (
	// MaxCircuits is how many circuits a Set keeps. Dependencies beyond it have none: their calls always go through.
	MaxCircuits = 50
	// maxName bounds the name of a dependency that has a circuit, in bytes.
	maxName = 100
)

// Set holds the circuits of a process, one for each dependency, made when it is first asked for. Its methods are safe for
// concurrent use.
type Set struct {
	options Options

	mu       sync.RWMutex
	breakers map[string]*Breaker
	// full: it was logged that there is no room.
	full bool
}

// NewSet returns a Set without circuits. o may be nil.
func NewSet(o *Options) *Set {
	return &Set{options: o.complete(), breakers: map[string]*Breaker{}}
}

// Breaker returns the circuit of a dependency. It is false where there is none: the Set is full ([MaxCircuits]), or the
// name is empty or longer than 100 bytes. Names are meant to stand in code; such that come from data would fill the Set.
func (s *Set) Breaker(dependency string) (*Breaker, bool) {
	s.mu.RLock()
	b, ok := s.breakers[dependency]
	s.mu.RUnlock()
	if ok {
		return b, true
	}
	return s.add(dependency)
}

func (s *Set) add(dependency string) (*Breaker, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b, ok := s.breakers[dependency]; ok {
		return b, true
	}
	if dependency == "" || len(dependency) > maxName {
		return nil, false
	}
	if len(s.breakers) == MaxCircuits {
		if !s.full {
			s.full = true
			s.options.Log.Warn("no room for another circuit: further dependencies have none; name a dependency always by the same word",
				"dependency", dependency, "circuits", MaxCircuits)
		}
		return nil, false
	}
	b := newBreaker(dependency, &s.options)
	s.breakers[dependency] = b
	return b, true
}

// Do is [Breaker.Do] with the circuit of a dependency. Where the Set has no room for one it calls fn.
func (s *Set) Do(ctx context.Context, dependency string, fn func(context.Context) error) error {
	b, ok := s.Breaker(dependency)
	if !ok {
		return fn(ctx)
	}
	return b.Do(ctx, fn)
}

// Stats returns what is known of each circuit, sorted by dependency.
func (s *Set) Stats() []Stats {
	s.mu.RLock()
	breakers := slices.Collect(maps.Values(s.breakers))
	s.mu.RUnlock()
	stats := make([]Stats, len(breakers))
	for i, b := range breakers {
		stats[i] = b.Stats()
	}
	slices.SortFunc(stats, func(a, b Stats) int { return cmp.Compare(a.Dependency, b.Dependency) })
	return stats
}

// States returns the state of each circuit by its dependency, in words.
func (s *Set) States() map[string]string {
	states := map[string]string{}
	for _, stats := range s.Stats() {
		states[stats.Dependency] = stats.State.String()
	}
	return states
}

// logChange writes the line of a change. A circuit that stays open for long is told of at each probe, so those lines are
// not warnings.
func logChange(o *Options, c *Change) {
	log := o.Log.With("dependency", c.Dependency)
	switch {
	case c.To == Open && c.From == Closed:
		log.Warn("circuit opened: records that need it wait until a probe succeeds, no attempt is spent",
			"failures", c.Failures, "error", cause(c.Err), "probe_after", o.RecoveryTimeout)
	case c.To == Open:
		log.Info("circuit opened again: the probe failed", "error", cause(c.Err), "probe_after", o.RecoveryTimeout)
	case c.To == HalfOpen:
		log.Debug("circuit half-open: a probe may go through")
	default:
		log.Info("circuit closed: the dependency is back", "probes", o.SuccessThreshold)
	}
}
