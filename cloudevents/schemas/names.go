package schemas

import (
	"strconv"
	"strings"
)

// names are the member names that a schema knows, by level.
type names struct {
	members map[string]*names
	// lower has the known names by their lower-case form.
	lower map[string]string
	items *names
}

// namesOf collects the names of a schema; it is nil where nothing below is named.
func namesOf(s *schema) *names {
	if s == nil || (len(s.Properties) == 0 && s.Items == nil) {
		return nil
	}
	n := &names{members: map[string]*names{}, lower: map[string]string{}, items: namesOf(s.Items)}
	for name, property := range s.Properties {
		n.members[name] = namesOf(property)
		n.lower[strings.ToLower(name)] = name
	}
	return n
}

// check appends a violation for each name in value that is a known one in other case: some readers would take it for
// the known one, others would not.
func (n *names) check(violations []Violation, path string, value any) []Violation {
	if n == nil {
		return violations
	}
	switch v := value.(type) {
	case map[string]any:
		for name, member := range v {
			violations = n.checkMember(violations, path, name, member)
		}
	case []any:
		if n.items == nil {
			break
		}
		for i, item := range v {
			violations = n.items.check(violations, path+"/"+strconv.Itoa(i), item)
		}
	}
	return violations
}

func (n *names) checkMember(violations []Violation, path, name string, member any) []Violation {
	if below, known := n.members[name]; known {
		if below == nil {
			return violations
		}
		return below.check(violations, path+"/"+name, member)
	}
	if exact, variant := n.lower[strings.ToLower(name)]; variant {
		return append(violations, Violation{path + "/" + exact, "is also there with a name of other case"})
	}
	return violations
}
