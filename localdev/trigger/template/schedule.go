package template

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Schedule is an event of type Schedule or ScheduleV2: EventBridge calls the function again and again.
type Schedule struct {
	// Name is that of the event in its function.
	Name string
	// Every is the time between two calls, a minute at least; 0 where it is not known here.
	Every time.Duration
	// Input is what the function gets; empty for the event that EventBridge makes.
	Input string
	// Enabled is true by default.
	Enabled bool
}

// rate is how a schedule says that it calls in equal intervals.
var rate = regexp.MustCompile(`^rate\(([1-9][0-9]{0,4}) (minute|hour|day)(s?)\)$`)

// units are what a rate counts.
var units = map[string]time.Duration{"minute": time.Minute, "hour": time.Hour, "day": 24 * time.Hour}

// schedule reads the schedule whose properties are at the place. member names the one that tells when it calls.
func (p place) schedule(member, name string) Schedule {
	s := Schedule{Name: name, Input: p.member("Input").loose(), Enabled: p.member("Enabled").truth(true)}
	if state := p.member("State"); !state.missing() {
		s.Enabled = state.oneOf("ENABLED", "DISABLED") == "ENABLED"
	}
	expression := p.member(member)
	if expression.missing() {
		expression.failf("is required: rate(1 minute) or the like")
	}
	s.Every = expression.interval()
	return s
}

// interval reads a rate. Other expressions are not emulated.
func (p place) interval() time.Duration {
	text, ok := p.exact()
	if !ok {
		return 0
	}
	if strings.HasPrefix(text, "cron(") || strings.HasPrefix(text, "at(") {
		p.warnf("%s is not emulated here: only rate(…) is", text)
		return 0
	}
	match := rate.FindStringSubmatch(text)
	if match == nil {
		p.failf("is %q, must be rate(N minutes), hours or days, cron(…) or at(…)", text)
		return 0
	}
	n, _ := strconv.Atoi(match[1]) // it has 5 digits at most
	unit := match[2]
	if plural := match[3] != ""; plural != (n > 1) {
		p.failf("is %q, and AWS takes one %s, and several %ss", text, unit, unit)
	}
	return time.Duration(n) * units[unit]
}
