package filter

import "slices"

// anythingBut holds for each leaf, whatever its kind, that none of the excluded matches.
func anythingBut(path []string, operand *tree) (condition, *PatternError) {
	var excluded []condition
	var bad *PatternError
	if operand.kind == object {
		excluded, bad = excludedTexts(path, operand)
	} else {
		excluded, bad = excludedValues(path, operand)
	}
	if bad != nil {
		return nil, bad
	}
	return func(leaf *tree) bool {
		return !slices.ContainsFunc(excluded, func(holds condition) bool { return holds(leaf) })
	}, nil
}

// excludedValues reads a string, a number, or a list of strings or of numbers.
func excludedValues(path []string, operand *tree) ([]condition, *PatternError) {
	values := elements(operand)
	if len(values) == 0 || values[0].kind != text && values[0].kind != number {
		return nil, problem(path, "must be strings, numbers, or one of prefix, suffix and equals-ignore-case")
	}
	var excluded []condition
	for _, v := range values {
		if v.kind != values[0].kind {
			return nil, problem(path, "must hold strings or numbers, not both and nothing else")
		}
		excluded = append(excluded, equal(v))
	}
	return excluded, nil
}

// excludedTexts reads a condition on strings with one string or a list of them.
func excludedTexts(path []string, operand *tree) ([]condition, *PatternError) {
	if len(operand.members) != 1 || comparisons[operand.members[0].name] == nil {
		return nil, problem(path, "must have one key: prefix, suffix or equals-ignore-case")
	}
	name, texts := operand.members[0].name, elements(operand.members[0].value)
	path = append(slices.Clip(path), name)
	if len(texts) == 0 {
		return nil, problem(path, "an empty list is not allowed")
	}
	var excluded []condition
	for _, t := range texts {
		switch {
		case t.kind != text:
			return nil, problem(path, "must hold strings only")
		case t.text == "" && folded[name] != nil:
			return nil, problem(path, "an empty string would exclude every string")
		}
		excluded = append(excluded, compares(comparisons[name], t.text))
	}
	return excluded, nil
}

// elements returns the elements of a list, and anything else as the only element.
func elements(t *tree) []*tree {
	if t.kind == list {
		return t.items
	}
	return []*tree{t}
}
