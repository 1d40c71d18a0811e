package config

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// limits are what the min, max and oneof tags of a field ask for. The zero Value stands for no bound.
type limits struct {
	least, most         reflect.Value
	leastText, mostText string
	oneOf               []string
}

// limits reads the tags, at the first call. It panics when they are malformed.
func (f *field) limits() limits {
	if f.known == nil {
		l := f.newLimits()
		f.known = &l
	}
	return *f.known
}

func (f *field) newLimits() limits {
	var l limits
	l.leastText, l.least = f.newBound("min")
	l.mostText, l.most = f.newBound("max")
	if l.least.IsValid() && l.most.IsValid() && compare(l.least, l.most) > 0 {
		panic("config: " + f.path() + " has a min above its max")
	}
	if words, ok := f.tags.Lookup("oneof"); ok {
		l.oneOf = strings.Split(words, "|")
		if (f.kind != text && f.kind != list) || slices.Contains(l.oneOf, "") {
			panic("config: the oneof tag of " + f.path() + " must list words, for a text or a list")
		}
	}
	return l
}

// newBound reads the bound of a min or max tag with the decoder that reads the variable.
func (f *field) newBound(name string) (string, reflect.Value) {
	bound, ok := f.tags.Lookup(name)
	if !ok {
		return "", reflect.Value{}
	}
	if f.kind == boolean || f.kind == decoded {
		panic(fmt.Sprintf("config: %s can have no %s", f.path(), name))
	}
	measured := f.measure(f.value).Type()
	v, err := decode(measured, bound)
	if err != nil || bound == "" || (f.measuresLength() && v.Int() < 0) {
		panic(fmt.Sprintf("config: the %s of %s is %q, which is not a bound of a %s", name, f.path(), bound, f.value.Type()))
	}
	return bound, v
}

func (f *field) measuresLength() bool { return f.kind == text || f.kind == list || f.kind == secret }

// measure returns what the bounds of f are about: the length of v, or v itself.
func (f *field) measure(v reflect.Value) reflect.Value {
	switch f.kind {
	case text:
		return reflect.ValueOf(utf8.RuneCountInString(v.String()))
	case list:
		return reflect.ValueOf(v.Len())
	case secret:
		return reflect.ValueOf(utf8.RuneCountInString(v.Interface().(Secret).Reveal()))
	case boolean, integer, decimal, duration, decoded:
	}
	return v
}

// allows reports whether v, of the type of f, is within the limits.
func (f *field) allows(v reflect.Value) bool {
	l := f.limits()
	if f.kind == decimal && (math.IsNaN(v.Float()) || math.IsInf(v.Float(), 0)) {
		return false
	}
	if f.kind == list && slices.Contains(items(v), "") {
		return false
	}
	if l.oneOf != nil && !f.allowsWords(v) {
		return false
	}
	if l.least.IsValid() && compare(f.measure(v), l.least) < 0 {
		return false
	}
	return !l.most.IsValid() || compare(f.measure(v), l.most) <= 0
}

func (f *field) allowsWords(v reflect.Value) bool {
	if f.kind == text {
		return slices.Contains(f.limits().oneOf, v.String())
	}
	for _, item := range items(v) {
		if !slices.Contains(f.limits().oneOf, item) {
			return false
		}
	}
	return true
}

// items returns the strings of a list, whatever the names of its types.
func items(v reflect.Value) []string {
	s := make([]string, v.Len())
	for i := range s {
		s[i] = v.Index(i).String()
	}
	return s
}

func compare(a, b reflect.Value) int {
	switch {
	case a.CanInt():
		return cmp.Compare(a.Int(), b.Int())
	case a.CanUint():
		return cmp.Compare(a.Uint(), b.Uint())
	default:
		return cmp.Compare(a.Float(), b.Float())
	}
}

// requirement says what the variable must be, to follow the words "must be".
func (f *field) requirement() string {
	switch f.kind {
	case text:
		if f.limits().oneOf != nil {
			return "one of " + strings.Join(f.limits().oneOf, ", ")
		}
		return "a text" + f.limits().length("character")
	case list:
		return "a list" + f.limits().length("item") + " separated by commas" + f.limits().words()
	case secret:
		return "a secret" + f.limits().length("character")
	case boolean:
		return "true or false"
	case integer:
		return "a whole number" + f.integerLimits().span()
	case decimal:
		return "a number" + f.limits().span()
	case duration:
		return "a duration such as 1h30m, 10s or 250ms" + f.limits().span()
	case decoded:
	}
	return "a valid " + f.value.Type().String()
}

// integerLimits are the limits of f, completed by what its type can hold. The ends of 64 bits are only told where there
// is no other bound: they help nobody.
func (f *field) integerLimits() limits {
	l, bits := f.limits(), f.value.Type().Bits()
	if bits == 64 && (l.least.IsValid() || l.most.IsValid()) {
		return l
	}
	lowest, highest := strconv.FormatInt(-1<<(bits-1), 10), strconv.FormatInt(1<<(bits-1)-1, 10)
	if f.value.CanUint() {
		lowest, highest = "0", strconv.FormatUint(math.MaxUint64>>(64-bits), 10)
	}
	l.leastText, l.mostText = cmp.Or(l.leastText, lowest), cmp.Or(l.mostText, highest)
	return l
}

func (l limits) span() string {
	switch {
	case l.leastText != "" && l.mostText != "":
		return " from " + l.leastText + " to " + l.mostText
	case l.leastText != "":
		return " of at least " + l.leastText
	case l.mostText != "":
		return " of at most " + l.mostText
	}
	return ""
}

func (l limits) length(unit string) string {
	number := l.mostText
	switch {
	case l.leastText == l.mostText:
	case l.leastText != "" && l.mostText != "":
		number = l.leastText + " to " + l.mostText
	case l.leastText != "":
		number = "at least " + l.leastText
	default:
		number = "at most " + l.mostText
	}
	switch {
	case number == "":
		return ""
	case strings.HasSuffix(" "+number, " 1"):
		return " of " + number + " " + unit
	}
	return " of " + number + " " + unit + "s"
}

func (l limits) words() string {
	if l.oneOf == nil {
		return ", none of them empty"
	}
	return ", each one of " + strings.Join(l.oneOf, ", ")
}
