package filter

import "slices"

// alternative is a pattern without any "$or": all of its fields must match.
type alternative struct {
	// value is the field of that name.
	value *field
	// absent are the fields that match where nothing is.
	absent []absence
}

// field is a place in a pattern: either an object with children, or a leaf with conditions.
type field struct {
	children   map[string]*field
	conditions []condition
}

// absence is a leaf that may be missing, and the names that lead to it from value.
type absence struct {
	leaf *field
	path []string
}

func (f *field) isLeaf() bool { return f.children == nil }

// collect adds the names of all children.
func (f *field) collect(names map[string]bool) {
	for name, child := range f.children {
		names[name] = true
		child.collect(names)
	}
}

func (a *alternative) matches(v *tree) bool {
	if len(a.absent) == 0 {
		return a.value.matches(v, nil)
	}
	settled := map[*field]bool{}
	for _, absence := range a.absent {
		settled[absence.leaf] = !occurs(v, absence.path)
	}
	a.value.settle(settled)
	return a.value.matches(v, settled)
}

// settle marks the objects of which each leaf is settled.
func (f *field) settle(settled map[*field]bool) {
	if f.isLeaf() {
		return
	}
	all := true
	for _, child := range f.children {
		child.settle(settled)
		all = all && settled[child]
	}
	settled[f] = all
}

// matches tells whether v matches, nil being nothing. Settled fields match whatever there is.
func (f *field) matches(v *tree, settled map[*field]bool) bool {
	switch {
	case settled[f]:
		return true
	case v == nil:
		return false
	case v.kind == list:
		return slices.ContainsFunc(v.items, func(item *tree) bool { return f.matches(item, settled) })
	case f.isLeaf():
		return v.kind != object && slices.ContainsFunc(f.conditions, func(holds condition) bool { return holds(v) })
	case v.kind != object:
		return false
	}
	for name, child := range f.children {
		if !child.matches(v.member(name), settled) {
			return false
		}
	}
	return true
}

// occurs tells whether a leaf is at the end of the path, in whichever element of the lists on the way.
func occurs(v *tree, path []string) bool {
	switch {
	case v == nil:
		return false
	case v.kind == list:
		return slices.ContainsFunc(v.items, func(item *tree) bool { return occurs(item, path) })
	case len(path) == 0:
		return v.kind != object
	default:
		return occurs(v.member(path[0]), path[1:])
	}
}
