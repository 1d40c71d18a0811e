package function

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Spec is a function as the runtime sees it: what it reads, what it may emit, how it is made. It is a value; copy it
// freely.
type Spec struct {
	// Name is the function's name, lower-case words with hyphens, at most 64 characters: "order-created". It is part of
	// emitted ids and the default of Group: a function that is renamed emits other ids and starts a new group.
	Name string
	// Topic is where the function reads.
	Topic string
	// Group is the consumer group. Default: Name.
	Group string
	// Source becomes the source of emitted events that have none. Default: "/" and Name.
	Source string
	// Emits lists the types that the handler may return, and those that its chores publish. Another type that it returns is an
	// error of the function: the record is dead-lettered.
	Emits []string
	// Topics names the topic of each emitted type that cloudevents/schemas does not know.
	Topics map[string]string
	// New makes the handler, once per process. lookup reads the environment.
	New func(lookup Lookup) (Handler, error)
	// Settings is a pointer to a zero struct of the kind that New fills with [Lookup.Into], for --help. Default: none.
	Settings any
	// Order is what is handled one at a time. Default: ByKey.
	Order Order
	// Attempts is how often a record is tried in all before it is dead-lettered, 1 to 100. Default: 5.
	Attempts int
	// Timeout is how long one attempt may take. Default: 30 s.
	Timeout time.Duration
}

// Order says which records a function never handles at the same time or out of their order.
type Order int

// The orders.
const (
	// ByKey handles the records of a key in offset order, one at a time, also across retries. Different keys run
	// concurrently. Records without a key keep the order of their partition.
	ByKey Order = iota
	// ByPartition handles a partition's records one at a time.
	ByPartition
	// Unordered handles each record as soon as it can.
	Unordered
)

// The defaults of a Spec.
const (
	DefaultAttempts = 5
	DefaultTimeout  = 30 * time.Second
)

// isName tells whether name has the form of names of functions, chores and services: words of lower-case letters and digits, joined by
// hyphens, the first begins with a letter. It is no regular expression because each start would compile that.
func isName(name string) bool {
	if name == "" || len(name) > 64 || name[0] < 'a' || name[0] > 'z' {
		return false
	}
	for word := range strings.SplitSeq(name, "-") {
		if word == "" || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
			return false
		}
	}
	return true
}

// Complete returns s with its defaults filled in, or an error that names every field that cannot be.
func (s Spec) Complete() (Spec, error) {
	if s.Group == "" {
		s.Group = s.Name
	}
	if s.Attempts == 0 {
		s.Attempts = DefaultAttempts
	}
	if s.Timeout == 0 {
		s.Timeout = DefaultTimeout
	}
	s.Source = s.source()
	return s, s.validate()
}

// InGroup returns s as a member of another consumer group. Functions that share a group see each record once between
// them, and keep the order of a key together.
func (s Spec) InGroup(group string) Spec {
	s.Group = group
	return s
}

func (s *Spec) source() string {
	if s.Source == "" {
		return "/" + s.Name
	}
	return s.Source
}

func (s *Spec) validate() error {
	var problems []error
	problem := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("function %q: "+format, append([]any{s.Name}, args...)...))
	}
	if !isName(s.Name) {
		problem("Name must be lower-case words joined by hyphens, at most 64 characters")
	}
	if s.Topic == "" {
		problem("Topic is empty")
	}
	if s.New == nil {
		problem("New is nil")
	}
	if s.Attempts < 1 || s.Attempts > 100 {
		problem("Attempts is %d, must be 1 to 100", s.Attempts)
	}
	if s.Timeout < 0 {
		problem("Timeout is %s, must be positive", s.Timeout)
	}
	if s.Order < ByKey || s.Order > Unordered {
		problem("Order is %d, must be ByKey, ByPartition or Unordered", s.Order)
	}
	return errors.Join(problems...)
}
