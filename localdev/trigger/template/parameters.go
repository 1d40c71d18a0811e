package template

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// readParameters works out what the parameters are: overrides, then defaults.
func (r *reader) readParameters() {
	r.parameters = map[string]value{}
	section := r.section("Parameters")
	for _, m := range section.members {
		r.parameters[m.name] = section.raw(m.name).parameter(r.options.Parameters)
	}
	for _, name := range slices.Sorted(maps.Keys(r.options.Parameters)) {
		if _, ok := r.parameters[name]; !ok {
			section.raw(name).failf("there is a value for this parameter, but the template has none of this name")
		}
	}
}

// parameter returns what one parameter is.
func (p place) parameter(overrides map[string]string) value {
	kind := p.get("Type").text
	given, ok := overrides[p.name()]
	if standard := p.get("Default"); !ok && standard.kind == text {
		given, ok = standard.text, true
	}
	switch {
	case kind == "":
		p.failf("a parameter needs a Type")
	case strings.HasPrefix(kind, "AWS::SSM::Parameter::Value<") && !isOverride(overrides, p):
		return unknown("ssm:"+given, "the store of parameters in AWS has the value of parameter "+p.name()+": give it one")
	case !ok:
		return unknown("parameter "+p.name(), "parameter "+p.name()+" has no default: give it a value")
	}
	if !isList(kind) {
		p.check(kind, given)
		return value{kind: text, text: given, line: p.line}
	}
	v := value{kind: list, line: p.line}
	for element := range strings.SplitSeq(given, ",") {
		element = strings.TrimSpace(element)
		p.check(kind, element)
		v.items = append(v.items, value{kind: text, text: element, line: p.line})
	}
	return v
}

func isOverride(overrides map[string]string, p place) bool {
	_, ok := overrides[p.name()]
	return ok
}

func isList(kind string) bool {
	return kind == "CommaDelimitedList" || strings.HasPrefix(kind, "List<") || strings.Contains(kind, "Value<List<") || strings.HasSuffix(kind, "Value<CommaDelimitedList>")
}

// check holds a value, or an element of a list, to what the template says of the parameter. The value is not in the
// errors where it may be a secret (NoEcho).
func (p place) check(kind, given string) {
	shown := strconv.Quote(given)
	if p.get("NoEcho").text == "true" {
		shown = "hidden"
	}
	if strings.Contains(kind, "Number") {
		p.checkNumber(shown, given)
	} else {
		p.checkLength(shown, given)
	}
	var allowed []string
	for _, v := range p.get("AllowedValues").items {
		allowed = append(allowed, v.text)
	}
	if len(allowed) > 0 && !slices.Contains(allowed, given) {
		p.failf("the value is %s, must be one of %s", shown, strings.Join(allowed, ", "))
	}
	if pattern := p.get("AllowedPattern").text; pattern != "" {
		p.checkPattern(pattern, shown, given)
	}
}

func (p place) checkNumber(shown, given string) {
	n, err := strconv.ParseFloat(given, 64)
	if err != nil {
		p.failf("the value is %s, must be a number", shown)
		return
	}
	if low, err := strconv.ParseFloat(p.get("MinValue").text, 64); err == nil && n < low {
		p.failf("the value is %s, must be at least %s", shown, p.get("MinValue").text)
	}
	if high, err := strconv.ParseFloat(p.get("MaxValue").text, 64); err == nil && n > high {
		p.failf("the value is %s, must be at most %s", shown, p.get("MaxValue").text)
	}
}

func (p place) checkLength(shown, given string) {
	if low, err := strconv.Atoi(p.get("MinLength").text); err == nil && len(given) < low {
		p.failf("the value is %s, must have at least %d characters", shown, low)
	}
	if high, err := strconv.Atoi(p.get("MaxLength").text); err == nil && len(given) > high {
		p.failf("the value is %s, must have at most %d characters", shown, high)
	}
}

// checkPattern leaves out the few patterns of Java that Go does not know.
func (p place) checkPattern(pattern, shown, given string) {
	if matcher, err := regexp.Compile("^(?:" + pattern + ")$"); err == nil && !matcher.MatchString(given) {
		p.failf("the value is %s, must match %s", shown, pattern)
	}
}
