//go:build unix

package main

import (
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// sessionTimeout is that of the members. A member that is silent for longer loses its partitions.
const sessionTimeout = 8 * time.Second

// The least and the longest pause before a fault. Two schedules run side by side, so that faults meet faults.
const (
	leastPause   = 2 * time.Second
	longestPause = 5 * time.Second
)

// kind is a kind of fault.
type kind struct {
	name string
	// least and most are how long it lasts.
	least, most time.Duration
	do          func(*saboteur, step) (outcome, error)
}

// step is a fault that is due.
type step struct {
	kind   kind
	member int
	// pause is how long to wait before it.
	pause, lasts, delay time.Duration
}

// schedule deals the kinds of faults in rounds, each kind once in each, in an order that follows from the seed.
type schedule struct {
	random *rand.Rand
	kinds  []kind
	hand   []kind
}

func newSchedule(seed, stream uint64, kinds []kind) *schedule {
	return &schedule{random: rand.New(rand.NewPCG(seed, stream)), kinds: kinds}
}

func (s *schedule) next() step {
	if len(s.hand) == 0 {
		s.hand = append(s.hand, s.kinds...)
		s.random.Shuffle(len(s.hand), func(i, j int) { s.hand[i], s.hand[j] = s.hand[j], s.hand[i] })
	}
	k := s.hand[0]
	s.hand = s.hand[1:]
	return step{
		kind:   k,
		member: s.random.IntN(memberCount),
		pause:  s.between(leastPause, longestPause),
		lasts:  s.between(k.least, k.most),
		delay:  s.between(200*time.Millisecond, 2*time.Second),
	}
}

func (s *schedule) between(least, most time.Duration) time.Duration {
	return least + time.Duration(s.random.Int64N(int64(most-least)+1))
}

// processKinds are the faults of members.
func (o *options) processKinds() []kind {
	return o.selected([]kind{
		{"SIGKILL, restart at once", 0, 0, (*saboteur).kill},
		{"SIGKILL, restart later", 2 * time.Second, 6 * time.Second, (*saboteur).kill},
		{"SIGTERM", 0, 2 * time.Second, (*saboteur).terminate},
		{"SIGSTOP beyond the session", sessionTimeout + 2*time.Second, sessionTimeout + 5*time.Second, (*saboteur).pause},
	})
}

// selected leaves those of the kinds that the command line asks for.
func (o *options) selected(kinds []kind) []kind {
	if len(o.only) == 0 {
		return kinds
	}
	return slices.DeleteFunc(kinds, func(k kind) bool { return !slices.Contains(o.only, k.name) })
}

// kinds are all faults of a run.
func (o *options) kinds() []kind { return append(o.processKinds(), o.networkKinds()...) }

// The API keys of requests that are delivered late.
const (
	produce         = 0
	offsetCommit    = 8
	heartbeat       = 12
	endTxn          = 26
	txnOffsetCommit = 28
)

// networkKinds are the faults between members and broker, and of the broker.
func (o *options) networkKinds() []kind {
	kinds := []kind{
		{"cut", 0, 0, (*saboteur).cut},
		{"delay", 3 * time.Second, 6 * time.Second, (*saboteur).slow},
		{"half-open", 2 * time.Second, 4 * time.Second, (*saboteur).halfOpen},
		{"half-open beyond the session", sessionTimeout + 2*time.Second, sessionTimeout + 5*time.Second, (*saboteur).isolate},
		late("Produce", produce),
		late("Heartbeat", heartbeat),
	}
	if o.exactlyOnce {
		kinds = append(kinds, late("EndTxn", endTxn), late("TxnOffsetCommit", txnOffsetCommit))
	} else {
		kinds = append(kinds, late("OffsetCommit", offsetCommit))
	}
	if o.kafka == "apache" {
		kinds = append(kinds,
			kind{"broker SIGTERM", 0, 2 * time.Second, restartBroker(syscall.SIGTERM)},
			kind{"broker SIGKILL", 0, 2 * time.Second, restartBroker(syscall.SIGKILL)},
		)
	}
	return o.selected(kinds)
}
