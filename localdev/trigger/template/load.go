package template

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// The bounds of a template. AWS takes 1 MB; the others are far above what a template needs.
const (
	maxBytes  = 1 << 20
	maxValues = 200_000
	maxDepth  = 100
)

// load reads YAML, of which JSON is a part. Aliases are replaced by what they stand for, and the short tags of
// CloudFormation by the long names.
func load(data []byte) (value, error) {
	if len(data) > maxBytes {
		return value{}, fmt.Errorf("the template has %d bytes, at most %d are read", len(data), maxBytes)
	}
	var document yaml.Node
	if err := yaml.Load(data, &document); err != nil {
		return value{}, fmt.Errorf("the template is not valid YAML: %w", err)
	}
	l := &loader{}
	return l.value(document.Content[0], 0)
}

type loader struct{ values int }

// value turns a node into a value. Aliases count as often as they are used, so that neither many nor circular ones end
// in more than the bounds allow.
func (l *loader) value(n *yaml.Node, depth int) (value, error) {
	if l.values++; l.values > maxValues {
		return value{}, &Error{Line: n.Line, Problem: fmt.Sprintf("the template has more than %d values, counting aliases as what they stand for", maxValues)}
	}
	if depth > maxDepth {
		return value{}, &Error{Line: n.Line, Problem: fmt.Sprintf("the template is more than %d levels deep", maxDepth)}
	}
	if function := shortTag(n); function != "" {
		return l.tagged(n, function, depth)
	}
	v := value{line: n.Line}
	var err error
	switch n.Kind {
	case yaml.AliasNode:
		return l.value(n.Alias, depth+1)
	case yaml.MappingNode:
		v.kind = object
		v.members, err = l.members(n, depth)
	case yaml.SequenceNode:
		v.kind = list
		v.items, err = l.items(n, depth)
	default:
		v.kind, v.text = scalar(n)
	}
	return v, err
}

// shortTag returns the long name of a tag such as !Sub, and nothing for the tags of YAML itself.
func shortTag(n *yaml.Node) string {
	name, ok := strings.CutPrefix(n.Tag, "!")
	switch {
	case !ok || name == "" || strings.HasPrefix(name, "!"):
		return ""
	case name == "Ref" || name == "Condition":
		return name
	default:
		return "Fn::" + name
	}
}

func (l *loader) tagged(n *yaml.Node, function string, depth int) (value, error) {
	plain := *n
	plain.Tag = ""
	if n.Kind == yaml.ScalarNode {
		plain.Tag = "!!str"
	}
	operand, err := l.value(&plain, depth+1)
	return value{kind: object, members: []member{{name: function, line: n.Line, value: operand}}, line: n.Line}, err
}

func (l *loader) items(n *yaml.Node, depth int) ([]value, error) {
	items := make([]value, 0, len(n.Content))
	for _, c := range n.Content {
		item, err := l.value(c, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

func (l *loader) members(n *yaml.Node, depth int) ([]member, error) {
	var members, merged []member
	lines := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		v, err := l.value(n.Content[i+1], depth+1)
		switch {
		case err != nil:
			return nil, err
		case key.Tag == "!!merge":
			merged = append(merged, mergeable(v)...)
			continue
		case key.Kind != yaml.ScalarNode:
			return nil, &Error{Line: key.Line, Problem: "a key must be text"}
		case lines[key.Value] > 0:
			return nil, &Error{Line: key.Line, Problem: fmt.Sprintf("the key %q stands in line %d already", key.Value, lines[key.Value])}
		}
		lines[key.Value] = key.Line
		members = append(members, member{name: key.Value, line: key.Line, value: v})
	}
	for _, m := range merged {
		if lines[m.name] == 0 {
			lines[m.name] = m.line
			members = append(members, m)
		}
	}
	return members, nil
}

// mergeable returns what "<<" adds to an object: the members of an object, or of each of a list of objects.
func mergeable(v value) []member {
	if v.kind != list {
		return v.members
	}
	var all []member
	for _, item := range v.items {
		all = append(all, item.members...)
	}
	return all
}

// The words for booleans in YAML 1.1, which SAM reads.
var (
	wordsForTrue  = []string{"true", "yes", "on"}
	wordsForFalse = []string{"false", "no", "off"}
)

func scalar(n *yaml.Node) (kind, string) {
	plain := n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) == 0
	word := strings.ToLower(n.Value)
	switch {
	case n.Tag == "!!null":
		return null, ""
	case plain && n.Tag != "!!str" && slices.Contains(wordsForTrue, word), plain && slices.Contains(wordsForTrue[1:], word):
		return text, "true"
	case plain && n.Tag != "!!str" && slices.Contains(wordsForFalse, word), plain && slices.Contains(wordsForFalse[1:], word):
		return text, "false"
	default:
		return text, n.Value
	}
}
