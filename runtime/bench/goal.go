package main

import "fmt"

// bound is what a goal wants of a number.
type bound int

const (
	atLeast bound = iota
	atMost
	below
)

// goal is what millrace, the last peer, is meant to reach.
type goal struct {
	// column is what the goal is about.
	column int
	// times says that the limit is how many times better than the peer against it is to be.
	times   bool
	against int
	bound   bound
	limit   float64
}

// ratioGoal wants millrace to be at least limit times better than a peer.
func ratioGoal(against int, limit float64) goal {
	return goal{times: true, against: against, limit: limit}
}

// check says what a goal wants, what was reached, and whether that is enough.
func (g goal) check(r *result) string {
	last := len(r.peers) - 1
	c := r.columns[g.column]
	value, what := r.value(last, g.column), fmt.Sprintf("%s %s %.*f", c.name, g.bound, c.decimal, g.limit)
	got := fmt.Sprintf("%.*f", c.decimal, value)
	if g.times {
		value = r.ratio(last, g.against)
		what = fmt.Sprintf("at least %.1f times %s", g.limit, r.peers[g.against].name)
		got = fmt.Sprintf("%.2f", value)
	}
	verdict := "missed"
	if g.met(value) {
		verdict = "reached"
	}
	return fmt.Sprintf("%s: %s with %s", what, verdict, got)
}

func (g goal) met(value float64) bool {
	switch g.bound {
	case atMost:
		return value <= g.limit
	case below:
		return value < g.limit
	default:
		return value >= g.limit
	}
}

func (b bound) String() string { return [...]string{"at least", "at most", "below"}[b] }
