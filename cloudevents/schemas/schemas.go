package schemas

import (
	"embed"
	"errors"
	"fmt"
	"strings"
	"sync"
)

//go:embed *.json
var documents embed.FS

// typePrefix is what the names of all types of the catalogue begin with, and their documents leave out.
const typePrefix = "dev.millrace."

// checkers has a function for each type that compiles its schema when it is first called.
var checkers = sync.OnceValue(func() map[string]func() *checker {
	byType := make(map[string]func() *checker, len(catalogue))
	for _, t := range catalogue {
		byType[t.Name] = sync.OnceValue(func() *checker { return newChecker(t.Name) })
	}
	return byType
})

// checker is what the data of one type is checked with.
type checker struct {
	schema *schema
	names  *names
}

// Schema returns the JSON Schema document of a type of the catalogue.
func Schema(name string) ([]byte, bool) {
	if _, ok := byName()[name]; !ok {
		return nil, false
	}
	document, err := documents.ReadFile(strings.TrimPrefix(name, typePrefix) + ".json")
	return document, err == nil
}

// Validate checks data against the JSON Schema of the type. Data that does not fit is an [*Error]. Data of a type that
// the catalogue does not have is valid. Validate may be called concurrently.
func Validate(name string, data []byte) error {
	compiled, ok := checkers()[name]
	if !ok {
		return nil
	}
	value, err := parse(data)
	if err != nil {
		return &Error{Type: name, Violations: []Violation{{Problem: err.Error()}}}
	}
	c := compiled()
	violations := c.names.check(nil, "", value)
	return newError(name, c.schema.check(violations, "", value))
}

// newChecker compiles a type's schema. It panics where it cannot: then the program was built with a broken document.
func newChecker(name string) *checker {
	schema, err := compile(name)
	if err != nil {
		panic(fmt.Sprintf("schemas: document of %s: %v", name, err))
	}
	return &checker{schema: schema, names: namesOf(schema)}
}

func compile(name string) (*schema, error) {
	text, ok := Schema(name)
	if !ok {
		return nil, errors.New("not found")
	}
	return parseSchema(text)
}
