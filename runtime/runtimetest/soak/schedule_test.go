//go:build unix

package main

import (
	"slices"
	"testing"
)

// steps returns what a schedule deals, without the functions, which cannot be compared.
func steps(seed uint64, kinds []kind, n int) []step {
	s := newSchedule(seed, 1, kinds)
	var dealt []step
	for range n {
		next := s.next()
		next.kind.do = nil
		dealt = append(dealt, next)
	}
	return dealt
}

func equal(a, b step) bool {
	return a.kind.name == b.kind.name && a.member == b.member && a.pause == b.pause && a.lasts == b.lasts && a.delay == b.delay
}

func TestScheduleFollowsFromTheSeed(t *testing.T) {
	t.Parallel()
	kinds := (&options{exactlyOnce: true, kafka: "apache"}).networkKinds()
	if !slices.EqualFunc(steps(7, kinds, 50), steps(7, kinds, 50), equal) {
		t.Error("one seed gave two schedules")
	}
	if slices.EqualFunc(steps(7, kinds, 50), steps(8, kinds, 50), equal) {
		t.Error("two seeds gave one schedule")
	}
}

func TestScheduleDealsEachKind(t *testing.T) {
	t.Parallel()
	tests := map[string][]kind{
		"processes":      new(options).processKinds(),
		"network":        (&options{kafka: "apache"}).networkKinds(),
		"exactly once":   (&options{exactlyOnce: true, kafka: "apache"}).networkKinds(),
		"one":            (&options{only: []string{"cut"}}).kinds(),
		"without broker": (&options{kafka: "embedded"}).networkKinds(),
	}
	for name, kinds := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for round := range slices.Chunk(steps(3, kinds, 4*len(kinds)), len(kinds)) {
				var names []string
				for _, s := range round {
					names = append(names, s.kind.name)
					if s.pause < leastPause || s.pause > longestPause || s.lasts < s.kind.least || s.lasts > s.kind.most {
						t.Errorf("%s waits %s and lasts %s", s.kind.name, s.pause, s.lasts)
					}
				}
				slices.Sort(names)
				if n := len(slices.Compact(names)); n != len(kinds) {
					t.Errorf("a round has %d kinds, want all %d", n, len(kinds))
				}
			}
		})
	}
}

func TestBeyondTheSession(t *testing.T) {
	t.Parallel()
	for _, k := range slices.Concat(new(options).processKinds(), (&options{exactlyOnce: true, kafka: "apache"}).networkKinds()) {
		if long := k.name == "SIGSTOP beyond the session" || k.name == "half-open beyond the session"; long != (k.most > sessionTimeout) || long && k.least <= sessionTimeout {
			t.Errorf("%s lasts %s to %s, the session %s", k.name, k.least, k.most, sessionTimeout)
		}
	}
}
