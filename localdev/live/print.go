package live

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/function"
)

// The widths of the columns, in characters.
const (
	flowWidth     = 8
	whatWidth     = 22
	aboutWidth    = 36 // a UUID
	functionWidth = 22
	subjectWidth  = 80
	errorWidth    = 200
)

// The codes of colours (ECMA-48, SGR).
const (
	red    = "31"
	green  = "32"
	yellow = "33"
	purple = "35"
	dim    = "2"
)

// flowColors tell chains apart.
var flowColors = [...]string{"36", "34", "35", "33", "32", "96", "94", "95"}

// printer writes lines for a person.
type printer struct{ color bool }

func (p printer) paint(code, s string) string {
	if !p.color || s == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

// clock is the time on the wall, where the person who reads it is.
func (p printer) clock(t time.Time) string {
	return p.paint(dim, t.Local().Format("15:04:05.000")) //nolint:gosmopolitan // see above
}

// column pads s to a width, after everything that a terminal would obey was escaped; or cuts out its middle, for types and ids are
// told apart by their ends.
func column(s string, width int) string {
	s = text.Escaped(s)
	n := utf8.RuneCountInString(s)
	if n <= width {
		return s + strings.Repeat(" ", width-n)
	}
	all := []rune(s)
	return string(all[:width/2]) + "…" + string(all[n-(width-1)/2:])
}

// beginning is s up to a width.
func beginning(s string, width int) string {
	s = text.Escaped(s)
	if utf8.RuneCountInString(s) <= width {
		return s
	}
	return string([]rune(s)[:width-1]) + "…"
}

// Header returns the names of the columns.
func (v *View) Header() string {
	return fmt.Sprintf("%-12s  %-*s  %-*s  %-*s  %-*s  %s\n", "TIME", flowWidth, "FLOW", whatWidth, "WHAT",
		aboutWidth, "ABOUT", functionWidth, "BY", "OUTCOME")
}

func (p printer) appendLine(dst []byte, l *line) []byte {
	what := l.Kind
	switch l.Kind {
	case kindOutcome:
		what = shortType(l.Type)
	case kindWebhook:
		what = strings.TrimPrefix(l.Type, "notification.")
	}
	if what == "" {
		what = "(not an event)"
	}
	return fmt.Appendf(dst, "%s  %s  %s  %s  %s  %s\n",
		p.clock(l.Time), p.flow(l.Correlation), column(what, whatWidth),
		column(l.About, aboutWidth), column(l.Function, functionWidth), p.end(l))
}

// flow is the end of a correlation id, in the colour of its chain. The beginnings of many are the time: those of UUIDs of
// version 7 are the same for a minute.
func (p printer) flow(correlation string) string {
	hash := fnv.New32a()
	_, _ = hash.Write([]byte(correlation))
	shown := []rune(text.Escaped(correlation))
	shown = shown[max(0, len(shown)-flowWidth):]
	return p.paint(flowColors[hash.Sum32()%uint32(len(flowColors))], column(string(shown), flowWidth))
}

func (p printer) end(l *line) string {
	if l.Kind != kindOutcome {
		return p.delivered(l)
	}
	var b strings.Builder
	b.WriteString(p.verdict(l))
	if l.Attempt > 1 {
		fmt.Fprintf(&b, ", attempt %d", l.Attempt)
	}
	if l.Took != nil {
		fmt.Fprintf(&b, ", %s", l.Took)
	}
	if len(l.Emitted) > 0 {
		fmt.Fprintf(&b, " → %s", text.Escaped(emitted(l)))
	}
	if l.Retry > 0 {
		fmt.Fprintf(&b, ", again in %s", l.Retry)
	}
	if why := l.reason(); why != "" {
		fmt.Fprintf(&b, ": %s", beginning(why, errorWidth))
	}
	return b.String()
}

func (p printer) delivered(l *line) string {
	told := p.paint(green, "delivered")
	if l.Took != nil {
		told += fmt.Sprintf(" %s after %s", l.Took, text.Escaped(shortType(l.Since)))
	}
	return told + ": " + beginning(l.Subject, subjectWidth)
}

func emitted(l *line) string {
	var types []string
	for _, e := range l.Emitted {
		if e.Type == "" {
			return fmt.Sprintf("%d published", len(l.Emitted))
		}
		types = append(types, shortType(e.Type))
	}
	return strings.Join(types, ", ")
}

func (p printer) verdict(l *line) string {
	color := green
	switch l.verdict {
	case function.Done:
	case function.Retry:
		color = yellow
	case function.DeadLetter:
		color = red
	case function.Broken:
		color = purple
	case function.Dropped:
		color = dim
	}
	return p.paint(color, l.Outcome)
}

// String is "2 ms", "1.3 s" from a second on.
func (m milliseconds) String() string {
	switch {
	case m >= 1000:
		return fmt.Sprintf("%.1f s", float64(m)/1000)
	case m >= 10:
		return fmt.Sprintf("%.0f ms", float64(m))
	}
	return fmt.Sprintf("%.1f ms", float64(m))
}

func (p printer) appendSummary(dst []byte, now time.Time, s summary) []byte {
	var counts []string
	for _, c := range s.counts {
		counts = append(counts, fmt.Sprintf("%s %d", c.what, c.n))
	}
	if s.dropped > 0 {
		counts = append(counts, p.paint(yellow, fmt.Sprintf("not shown %d", s.dropped)))
	}
	dst = fmt.Appendf(dst, "%s  %d more: %s\n", p.clock(now), s.lines, strings.Join(counts, " · "))
	if s.failure != nil {
		dst = append(append(dst, p.paint(dim, "  for example: ")...), p.appendLine(nil, s.failure)...)
	}
	return dst
}
