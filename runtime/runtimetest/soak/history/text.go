package history

import (
	"fmt"
	"strings"
	"time"
)

// maxTold bounds the calls that a violation tells of.
const maxTold = 6

func (e *Event) String() string {
	return fmt.Sprintf("event %s (key %s, %s)", e.ID, e.Key, at(e.Position))
}

func (c *Call) String() string {
	end := "never ended"
	if c.End > 0 {
		end = fmt.Sprintf("ended %s", clock(c.End))
		if c.Failed {
			end += " with an error"
		}
	}
	return fmt.Sprintf("%s started %s at %s, %s", c.Process, c.Event, clock(c.Start), end)
}

func (f *Fault) String() string {
	text := fmt.Sprintf("%s to %s: %s", clock(f.From), clock(f.Until), f.Kind)
	if f.Process != "" {
		text += " (" + f.Process + ")"
	}
	return text
}

// told lists calls.
func told(calls []*Call) string {
	if len(calls) == 0 {
		return "no calls"
	}
	lines := make([]string, 0, maxTold)
	for i, call := range calls {
		if i == maxTold {
			lines = append(lines, fmt.Sprintf("and %d more", len(calls)-i))
			break
		}
		lines = append(lines, call.String())
	}
	return strings.Join(lines, "; ")
}

func at(p Position) string { return fmt.Sprintf("%d@%d", p.Partition, p.Offset) }

func clock(d time.Duration) string { return fmt.Sprintf("%.3fs", d.Seconds()) }
