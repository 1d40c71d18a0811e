package config

import (
	"context"
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/sethvargo/go-envconfig"
)

// structure is a target taken apart: its fields in their order, and the structs that validate themselves, inner first.
type structure struct {
	fields     []field
	validators []validator
}

// field is a struct field that a variable fills. A process has a hundred of them and somebody waits for its start, so what few
// of them need is read when it is asked for: most variables are not set.
type field struct {
	// owner and name are the struct and the field as programmers know them: "kafkaclient.Config" and "Brokers".
	owner, name string
	value       reflect.Value
	kind        kind
	variable    string
	// tag is the env tag with the prefix of the structs around it, tags are the field's own.
	tag      string
	tags     reflect.StructTag
	fallback string
	required bool
	// known are the limits, once they were asked for.
	known *limits
}

func (f *field) path() string { return f.owner + "." + f.name }

type kind int

const (
	text kind = iota
	list
	boolean
	integer
	decimal
	duration
	secret
	decoded
)

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
	decoderType  = reflect.TypeFor[encoding.TextUnmarshaler]()
)

// isVariable tells whether name may be that of a variable.
func isVariable(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}

// usualFields is for how many fields there is room at first.
const usualFields = 64

// inspect takes target apart. It panics when target is no pointer to a struct, or its env tags are malformed.
func inspect(target any) *structure {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("config: a target must be a pointer to a struct, not %T", target))
	}
	s := &structure{fields: make([]field, 0, usualFields)}
	s.add(v.Elem(), v.Elem().Type().String(), "")
	return s
}

func (s *structure) add(v reflect.Value, path, prefix string) {
	for sf, fv := range v.Fields() {
		tag, tagged := sf.Tag.Lookup("env")
		if nested := sf.Type.Kind() == reflect.Struct && !isDecoder(sf.Type); nested && (sf.IsExported() || sf.Anonymous) {
			fieldPath := path + "." + sf.Name
			s.add(fv, fieldPath, prefix+prefixOf(fieldPath, tag))
			continue
		}
		if !tagged {
			continue
		}
		if !sf.IsExported() {
			panic("config: " + path + "." + sf.Name + " has an env tag and is not exported")
		}
		s.fields = append(s.fields, field{owner: path, name: sf.Name, value: fv, tags: sf.Tag})
		f := &s.fields[len(s.fields)-1]
		f.kind = f.kindOf(sf.Type)
		f.parse(tag, prefix)
	}
	if !v.CanInterface() {
		return // an embedded struct of an unexported type: its exported fields count, its methods are promoted
	}
	if validates, ok := reflect.TypeAssert[validator](v.Addr()); ok {
		s.validators = append(s.validators, validates)
	}
}

// prefixOf returns the prefix that the tag of a nested struct gives to its variables.
func prefixOf(path, tag string) string {
	name, options, _ := strings.Cut(tag, ",")
	prefix, ok := strings.CutPrefix(strings.TrimSpace(options), "prefix=")
	if tag != "" && (!ok || strings.TrimSpace(name) != "") {
		panic(fmt.Sprintf("config: %s is a struct: its tag may only be env:\", prefix=…\", not env:%q", path, tag))
	}
	return prefix
}

func (f *field) kindOf(t reflect.Type) kind {
	switch {
	case t == secretType:
		return secret
	case t == durationType:
		return duration
	case isDecoder(t):
		return decoded
	}
	switch t.Kind() {
	case reflect.String:
		return text
	case reflect.Bool:
		return boolean
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return integer
	case reflect.Float32, reflect.Float64:
		return decimal
	case reflect.Slice:
		if t.Elem().Kind() == reflect.String && !isDecoder(t.Elem()) {
			return list
		}
	}
	panic(fmt.Sprintf("config: %s is a %s, which no variable can fill", f.path(), t))
}

// isDecoder tells whether values of type t read their texts themselves. To ask is dear, and types without a name that are no
// structs have no methods.
func isDecoder(t reflect.Type) bool {
	return (t.PkgPath() != "" || t.Kind() == reflect.Struct) && reflect.PointerTo(t).Implements(decoderType)
}

// parse reads the env tag. go-envconfig reads it too; what is checked here is what Describe shows and what
// go-envconfig would report as if it were a mistake of the environment.
func (f *field) parse(tag, prefix string) {
	name, options, _ := strings.Cut(tag, ",")
	name = strings.TrimSpace(name)
	if !isVariable(name) {
		panic(fmt.Sprintf("config: the env tag of %s names no variable but %q", f.path(), name))
	}
	f.variable, f.tag = prefix+name, prefix+strings.TrimSpace(tag)
	for options != "" {
		if fallback, ok := strings.CutPrefix(strings.TrimLeft(options, " "), "default="); ok {
			f.fallback = fallback
			break
		}
		var option string
		option, options, _ = strings.Cut(options, ",")
		if strings.TrimSpace(option) != "required" {
			panic(fmt.Sprintf("config: the env tag of %s has the unknown option %q", f.path(), option))
		}
		f.required = true
	}
	if f.fallback != "" && (f.required || f.kind == secret) {
		panic("config: " + f.path() + " is required or secret and can have no default")
	}
}

// check panics when a tag is malformed, or the default is not what the others ask for. A default that refers to another
// variable is only known when that is read.
func (f *field) check() {
	f.limits()
	if f.fallback == "" || f.refers() {
		return
	}
	unset := func(string) (string, bool) { return "", false }
	if v, err := f.decodeFallback(unset); err != nil || !f.allows(v) {
		f.refuseFallback()
	}
}

func (f *field) refuseFallback() {
	panic(fmt.Sprintf("config: the default of %s must be %s", f.path(), f.requirement()))
}

// refers tells whether the default refers to another variable.
func (f *field) refers() bool { return strings.Contains(f.fallback, "$") }

// load fills the field from its variable and returns what is wrong with that, if anything is.
func (f *field) load(lookup func(string) (string, bool)) *Problem {
	raw, set, problem := f.read(lookup)
	if problem != nil {
		return problem
	}
	if !set {
		return f.loadFallback(lookup)
	}
	if f.required && raw == "" {
		return f.problem("is empty, must be ")
	}
	v, err := f.decode(raw)
	if err != nil {
		// The error is not told, for it quotes the value, nor what may be wrong with the default besides.
		_ = f.loadFallback(lookup)
		return f.problem("must be ")
	}
	f.value.Set(v)
	if !f.allows(v) {
		return f.problem("must be ")
	}
	return nil
}

// loadFallback fills the field as it is to be when its variable is unset. Whether a default that refers to no other variable is
// within the limits is left to check.
func (f *field) loadFallback(lookup func(string) (string, bool)) *Problem {
	switch {
	case f.required:
		return f.problem("is not set, must be ")
	case f.fallback == "" || !f.value.IsZero():
		return nil
	case f.isPlain():
		if set(f.value, f.fallback) != nil {
			f.refuseFallback()
		}
		return nil
	}
	v, err := f.decodeFallback(func(name string) (string, bool) {
		if name == f.variable {
			return "", false
		}
		return lookup(name)
	})
	if err != nil || !f.allows(v) {
		return f.problem("has a default that refers to another variable, must be ")
	}
	f.value.Set(v)
	return nil
}

func (f *field) problem(start string) *Problem {
	return &Problem{Variable: f.variable, What: start + f.requirement()}
}

// read returns the text of the variable and whether it counts as set.
func (f *field) read(lookup func(string) (string, bool)) (raw string, set bool, problem *Problem) {
	raw, set = lookup(f.variable)
	switch f.kind {
	case text, list:
		return raw, set, nil
	case secret:
		if raw == "" {
			return f.readFile(lookup)
		}
		return raw, true, nil
	case boolean, integer, decimal, duration, decoded:
		raw = strings.TrimSpace(raw)
	}
	return raw, raw != "", nil
}

func (f *field) readFile(lookup func(string) (string, bool)) (content string, set bool, problem *Problem) {
	name := f.variable + "_FILE"
	path, _ := lookup(name)
	if path == "" {
		return "", false, nil
	}
	content, err := readSecret(path)
	if err != nil {
		return "", false, &Problem{Variable: name, What: err.Error()}
	}
	return content, true, nil
}

// decode returns the value that raw stands for.
func (f *field) decode(raw string) (reflect.Value, error) {
	if f.kind == decoded {
		return decodeTagged(f.value.Type(), f.tag, func(string) (string, bool) { return raw, true })
	}
	return decode(f.value.Type(), raw)
}

// decodeFallback returns the default. One that refers to other variables reads them by lookup.
func (f *field) decodeFallback(lookup envconfig.LookuperFunc) (reflect.Value, error) {
	if !f.isPlain() {
		return decodeTagged(f.value.Type(), f.tag, lookup)
	}
	return decode(f.value.Type(), f.fallback)
}

// isPlain tells whether the default is read as it stands in the tag.
func (f *field) isPlain() bool { return f.kind != decoded && !strings.ContainsAny(f.fallback, `$\`) }

// decodeTagged has go-envconfig fill a struct that has this one field: given the whole struct it would stop at the first
// problem.
func decodeTagged(t reflect.Type, tag string, lookup envconfig.LookuperFunc) (reflect.Value, error) {
	one := reflect.New(reflect.StructOf([]reflect.StructField{{
		Name: "Field",
		Type: t,
		Tag:  reflect.StructTag(fmt.Sprintf("env:%q", tag)),
	}}))
	err := envconfig.ProcessWith(context.Background(), &envconfig.Config{Target: one.Interface(), Lookuper: lookup})
	return one.Elem().Field(0), err
}
