package consumergroup

import (
	"slices"

	"github.com/millrace/millrace/runtime/frontier"
)

// The least and the most records of a partition that are reserved ahead.
const (
	leastReserve = 8192
	mostReserve  = 1 << 21
	// suspectsLimit bounds how many owners that ended without a goodbye are remembered.
	suspectsLimit = 100
)

// progress is what the commits of a claim say beside the frontier.
//
// Attempts are counted in commits, and no commit can tell of an attempt that was running when its process was killed. So
// the owner commits ahead up to which offset it may start records; when it ends without a goodbye, the next owner suspects
// every unfinished record below of one more attempt than is known.
type progress struct {
	// admitted is the offset after the newest record that was started, reserved the offset up to which records may start.
	admitted, reserved int64
	// reserve is how far ahead reserved is set, last where admitted stood then.
	reserve, last int64
	suspects      []int64

	leaving, clean bool
	// committed is the position that was written last.
	committed position
}

// take goes on where the former owner's state ended.
func (p *progress) take(s frontier.State) {
	p.admitted, p.last = s.Next, s.Next
	p.suspects = s.Suspects
	if s.Open {
		p.suspects = append(p.suspects, s.Reserved)
		slices.Sort(p.suspects)
		p.suspects = p.suspects[max(0, len(p.suspects)-suspectsLimit):]
	}
}

// allows tells whether the record at offset may start, and notes that it does.
func (p *progress) allows(offset int64) bool {
	if offset >= p.reserved {
		return false
	}
	p.admitted = offset + 1
	return true
}

// want asks that the next reservation includes offset.
func (p *progress) want(offset int64) { p.admitted = max(p.admitted, offset+1) }

// short tells whether a new reservation is due.
func (p *progress) short() bool { return p.admitted+p.reserve/2 > p.reserved }

// complete adds to s what the commit says beside the frontier. It reserves about four times what was started since the
// commit before, so that no record waits while the rate stays what it is.
// Only the last commit lets the partition go.
func (p *progress) complete(s *frontier.State, last bool) {
	if p.admitted != p.last || p.reserve == 0 {
		p.reserve = min(max(4*(p.admitted-p.last), p.reserve/2, leastReserve), mostReserve)
		p.last = p.admitted
	}
	p.suspects = slices.DeleteFunc(p.suspects, func(offset int64) bool { return offset <= s.Next })
	s.Open = !last || !p.clean
	s.Reserved = p.admitted + p.reserve
	s.Suspects = p.suspects
}

// leave says that nothing starts any more; clean, that nothing runs either.
func (p *progress) leave(clean bool) { p.leaving, p.clean = true, clean }
