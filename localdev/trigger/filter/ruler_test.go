package filter

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// EventBridge's own matcher does not walk trees. It flattens an event into leaves, each with its path and the elements
// of lists that it stands in, and looks for leaves that match all fields of a rule and stand in no two elements of one
// list. This is that, without any of its speed.

type flat struct {
	path    string
	value   any
	element map[int]int
}

type flattener struct {
	leaves []flat
	lists  int
}

func (f *flattener) add(path string, v any, element map[int]int) {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			f.add(path+"."+name, value, element)
		}
	case []any:
		id := f.lists
		f.lists++
		for i, item := range v {
			within := maps.Clone(element)
			switch item.(type) {
			case map[string]any, []any:
				within[id] = i
			}
			f.add(path, item, within)
		}
	default:
		f.leaves = append(f.leaves, flat{path, v, element})
	}
}

// multiplied returns the rules of a pattern: for each path the list of its conditions.
func multiplied(rules []map[string][]any, path string, pattern map[string]any) []map[string][]any {
	for _, name := range slices.Sorted(maps.Keys(pattern)) {
		var next []map[string][]any
		switch v := pattern[name].(type) {
		case map[string]any:
			next = multiplied(rules, path+"."+name, v)
		case []any:
			if name == or {
				for _, object := range v {
					next = append(next, multiplied(rules, path, object.(map[string]any))...)
				}
				break
			}
			for _, r := range rules {
				r = maps.Clone(r)
				r[path+"."+name] = v
				next = append(next, r)
			}
		}
		rules = next
	}
	return rules
}

func assign(leaves []flat, rule map[string][]any, paths []string, element map[int]int) bool {
	if len(paths) == 0 {
		return true
	}
	path, there := paths[0], false
	for _, l := range leaves {
		if l.path != path {
			continue
		}
		there = true
		if within, ok := joined(element, l.element); ok && slices.ContainsFunc(rule[path], func(c any) bool { return holds(c, l.value) }) {
			if assign(leaves, rule, paths[1:], within) {
				return true
			}
		}
	}
	absent := slices.ContainsFunc(rule[path], func(c any) bool { return fmt.Sprint(c) == "map[exists:false]" })
	return !there && absent && assign(leaves, rule, paths[1:], element)
}

func joined(a, b map[int]int) (map[int]int, bool) {
	all := maps.Clone(a)
	for list, i := range b {
		if j, ok := all[list]; ok && i != j {
			return nil, false
		}
		all[list] = i
	}
	return all, true
}

func holds(condition, leaf any) bool {
	c, ok := condition.(map[string]any)
	if !ok {
		return condition == leaf
	}
	if exists, ok := c["exists"]; ok {
		return exists == true
	}
	excluded, ok := c["anything-but"].([]any)
	return ok && !slices.Contains(excluded, leaf)
}

func naive(pattern, event map[string]any) bool {
	f := &flattener{}
	f.add("", event, map[int]int{})
	return slices.ContainsFunc(multiplied([]map[string][]any{{}}, "", pattern), func(rule map[string][]any) bool {
		return assign(f.leaves, rule, slices.Sorted(maps.Keys(rule)), map[int]int{})
	})
}

var (
	names  = rapid.SampledFrom([]string{"a", "b", "c"})
	leaves = rapid.SampledFrom([]any{"x", "y", "", 1.0, 2.0, true, nil})
)

func drawEvent(t *rapid.T, depth int) any {
	switch kind := rapid.IntRange(0, 4).Draw(t, "kind"); {
	case depth == 0 || kind == 0:
		return leaves.Draw(t, "leaf")
	case kind < 3:
		items := make([]any, rapid.IntRange(0, 3).Draw(t, "items"))
		for i := range items {
			items[i] = drawEvent(t, depth-1)
		}
		return items
	default:
		return drawObject(t, depth)
	}
}

func drawObject(t *rapid.T, depth int) map[string]any {
	members := map[string]any{}
	for range rapid.IntRange(0, 3).Draw(t, "members") {
		members[names.Draw(t, "name")] = drawEvent(t, depth-1)
	}
	return members
}

func drawCondition(t *rapid.T) any {
	switch rapid.IntRange(0, 4).Draw(t, "condition") {
	case 0:
		return map[string]any{"exists": rapid.Bool().Draw(t, "exists")}
	case 1:
		return map[string]any{"anything-but": rapid.SampledFrom([]any{[]any{"x"}, []any{"x", "y"}, []any{1.0}}).Draw(t, "excluded")}
	default:
		return leaves.Draw(t, "wanted")
	}
}

func drawPattern(t *rapid.T, depth int) map[string]any {
	pattern := map[string]any{}
	for range rapid.IntRange(1, 3).Draw(t, "fields") {
		switch kind := rapid.IntRange(0, 5).Draw(t, "field"); {
		case depth == 0 || kind < 3:
			pattern[names.Draw(t, "name")] = []any{drawCondition(t), drawCondition(t)}[:rapid.IntRange(1, 2).Draw(t, "conditions")]
		case kind == 3:
			pattern[or] = []any{drawPattern(t, depth-1), drawPattern(t, depth-1)}
		default:
			pattern[names.Draw(t, "name")] = drawPattern(t, depth-1)
		}
	}
	return pattern
}

func TestMatchesAsEventBridge(t *testing.T) {
	t.Parallel()
	seen := map[Match]int{}
	rapid.Check(t, func(t *rapid.T) {
		value := drawPattern(t, 2)
		event := drawObject(t, 3)
		pattern, err := json.Marshal(map[string]any{"value": value})
		if err != nil {
			t.Fatal(err)
		}
		data, err := json.Marshal(event)
		if err != nil {
			t.Fatal(err)
		}
		f, err := Compile(string(pattern))
		if err != nil {
			t.Skip("a path stands twice")
		}
		want := Rejected
		if naive(value, event) {
			want = Matched
		}
		got := f.Match(data)
		if got != want {
			t.Fatalf("%s of %s: %v, want %v", pattern, data, got, want)
		}
		seen[got]++
	})
	if !t.Failed() && (seen[Matched] == 0 || seen[Rejected] == 0) {
		t.Errorf("the cases were one-sided: %v", seen)
	}
}

func FuzzMatch(f *testing.F) {
	for _, pattern := range []string{
		`{"value":{"a":[{"exists":false},"x"],"b":{"c":[{"numeric":[">",10,"<=",20]}]}}}`,
		`{"value":[{"anything-but":{"prefix":["a","b"]}},{"suffix":{"equals-ignore-case":"Z"}},null]}`,
		`{"$or":[{"value":["x"]},{"value":{"$or":[{"a":[1]},{"b":[true,300.0]}]}}]}`,
		`{"value":{"a":[[]]}}`,
		`{`,
	} {
		for _, value := range []string{`{"a":[{"c":1},[2]],"b":{"c":15}}`, `x`, `[1,2`, ``, "\xff"} {
			f.Add(pattern, []byte(value))
		}
	}
	f.Fuzz(func(t *testing.T, pattern string, value []byte) {
		filter, err := Compile(pattern)
		if err != nil {
			return
		}
		got := filter.Match(value)
		if again := filter.Match(value); got != again {
			t.Errorf("%v and then %v", got, again)
		}
		// Patterns are alternatives: a further one takes no match away.
		both, err := Compile(pattern, `{"value":[{"exists":false}]}`)
		if err != nil {
			t.Fatal(err)
		}
		if got == Matched && both.Match(value) != Matched {
			t.Error("another pattern took a match away")
		}
	})
}
