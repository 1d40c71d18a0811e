package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"reflect"
	"slices"
)

// Compatible tells whether the JSON Schema newer may take the place of older under the same type name: whatever data
// fitted older must fit newer. It returns an error for each way in which that does not hold: a member that became
// required, a type, limit or enumeration that became narrower. A member that older did not name may be named by newer. A
// keyword that Compatible does not know must be the same in both.
func Compatible(older, newer []byte) error {
	before, err := parse(older)
	if err != nil {
		return fmt.Errorf("older schema %w", err)
	}
	after, err := parse(newer)
	if err != nil {
		return fmt.Errorf("newer schema %w", err)
	}
	c := comparison{}
	c.schemas("", before, after)
	return errors.Join(c.breaks...)
}

// comparison collects the ways in which a schema breaks with an older one.
type comparison struct{ breaks []error }

func (c *comparison) reportf(path, format string, args ...any) {
	if path == "" {
		path = "/"
	}
	c.breaks = append(c.breaks, fmt.Errorf("%s: "+format, append([]any{path}, args...)...))
}

// schemas compares two schemas of the same place in the data.
func (c *comparison) schemas(path string, older, newer any) {
	before, beforeOK := older.(map[string]any)
	after, afterOK := newer.(map[string]any)
	if !beforeOK || !afterOK {
		if !reflect.DeepEqual(older, newer) {
			c.reportf(path, "the schema is not an object")
		}
		return
	}
	keywords := slices.Concat(slices.Collect(maps.Keys(before)), slices.Collect(maps.Keys(after)))
	slices.Sort(keywords)
	for _, keyword := range slices.Compact(keywords) {
		c.keyword(path, keyword, before[keyword], after[keyword])
	}
}

// keyword compares one keyword of two schemas; nil stands for one that is not there.
func (c *comparison) keyword(path, keyword string, before, after any) {
	switch keyword {
	case "$schema", "$id", "$comment", "title", "description", "default", "examples", "deprecated":
	case "type":
		c.types(path, before, after)
	case "required":
		c.required(path, before, after)
	case "enum":
		c.enum(path, before, after)
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		c.limit(path, keyword, before, after, -1)
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		c.limit(path, keyword, before, after, +1)
	case "properties":
		c.properties(path, before, after)
	case "items":
		c.items(path, before, after)
	case "pattern", "format":
		if after != nil && !reflect.DeepEqual(before, after) {
			c.reportf(path, "%s was %v and is now %v", keyword, before, after)
		}
	default:
		if !reflect.DeepEqual(before, after) {
			c.reportf(path, "%s changed", keyword)
		}
	}
}

func (c *comparison) types(path string, before, after any) {
	if after == nil {
		return
	}
	if before == nil {
		c.reportf(path, "any type fitted, now only %v", after)
		return
	}
	allowed := list(after)
	for _, t := range list(before) {
		if !contains(allowed, t) && (t != any("integer") || !contains(allowed, "number")) {
			c.reportf(path, "type %v does not fit any more", t)
		}
	}
}

func (c *comparison) required(path string, before, after any) {
	old := list(before)
	for _, name := range list(after) {
		if !contains(old, name) {
			c.reportf(path, "%v became required", name)
		}
	}
}

func (c *comparison) enum(path string, before, after any) {
	switch {
	case after == nil:
	case before == nil:
		c.reportf(path, "any value fitted, now only those of an enumeration")
	default:
		for _, value := range list(before) {
			if !contains(list(after), value) {
				c.reportf(path, "%v is not in the enumeration any more", value)
			}
		}
	}
}

// limit compares a lower (side -1) or upper (side +1) bound: the newer one may be wider or gone.
func (c *comparison) limit(path, keyword string, before, after any, side int) {
	if after == nil || reflect.DeepEqual(before, after) {
		return
	}
	was, wasOK := rational(before)
	is, isOK := rational(after)
	if !isOK || !wasOK || is.Cmp(was)*side < 0 {
		c.reportf(path, "%s was %v and is now %v", keyword, before, after)
	}
}

func (c *comparison) properties(path string, before, after any) {
	was, _ := before.(map[string]any)
	is, _ := after.(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(is)) {
		if old, ok := was[name]; ok {
			c.schemas(path+"/"+name, old, is[name])
		}
	}
}

func (c *comparison) items(path string, before, after any) {
	switch {
	case after == nil:
	case before == nil:
		c.reportf(path, "any items fitted, now only those of a schema")
	default:
		c.schemas(path+"/items", before, after)
	}
}

// list returns a JSON array, or what is not one as a list of its own: type may be either.
func list(value any) []any {
	switch v := value.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{value}
}

// contains is slices.Contains for values that need not be comparable.
func contains(values []any, value any) bool {
	return slices.ContainsFunc(values, func(v any) bool { return reflect.DeepEqual(v, value) })
}

func rational(value any) (*big.Rat, bool) {
	n, ok := value.(json.Number)
	if !ok {
		return nil, false
	}
	return new(big.Rat).SetString(string(n))
}
