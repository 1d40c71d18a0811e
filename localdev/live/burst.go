package live

import (
	"cmp"

	"slices"
)

// readable is how many lines of a second a person can follow.
const readable = 50

// summary is a second that was too full to be shown line by line.
type summary struct {
	// lines is how many lines are summed up.
	lines  int
	counts []count
	// failure is the first that was not fine, if there was one.
	failure *line
	// dropped is how many lines were lost because the terminal was too slow.
	dropped int64
}

// count is how often something happened.
type count struct {
	what string
	n    int
}

// burst decides which lines are shown and sums up the others.
type burst struct {
	seen    int
	full    bool // the second before was too full
	sums    map[string]int
	lines   int
	failure *line
}

// shows tells whether to show l now. Otherwise it is summed up.
func (b *burst) shows(l *line) bool {
	b.seen++
	if !b.full && b.seen <= readable {
		return true
	}
	if b.sums == nil {
		b.sums = map[string]int{}
	}
	b.lines++
	b.sums[l.sum()]++
	if b.failure == nil && l.Error != "" {
		b.failure = l
	}
	return false
}

// endSecond returns the summary of a second, if there is something to sum up.
func (b *burst) endSecond(dropped int64) (summary, bool) {
	s := summary{lines: b.lines, failure: b.failure, dropped: dropped}
	for what, n := range b.sums {
		s.counts = append(s.counts, count{what, n})
	}
	slices.SortFunc(s.counts, func(a, c count) int { return cmp.Or(cmp.Compare(c.n, a.n), cmp.Compare(a.what, c.what)) })
	something := b.lines > 0 || dropped > 0
	*b = burst{full: b.seen > readable, sums: b.sums}
	clear(b.sums)
	return s, something
}

// sum is what l counts as.
func (l *line) sum() string {
	switch {
	case l.Kind != kindOutcome:
		return l.Kind
	case l.Function == "":
		return "(nobody) " + l.Outcome
	}
	return l.Function + " " + l.Outcome
}
