package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/runtime/function"
)

// deadLetters is the topic of dead letters.
const deadLetters = "dead-letter-queue"

// lambdaFunction is a function or a service as template.yaml has it: behind a Kafka trigger, or a function URL.
type lambdaFunction struct {
	Name string
	// Topic is what a function reads, empty for a service.
	Topic string
	// Group is the function's own: an event source mapping shares its group with no other, so the functions that read
	// orders cannot share one as they do in one process.
	Group string
	// Outputs are the topics that it publishes to, sorted; for a function with that of dead letters.
	Outputs []string
	// Database is the one that it keeps, nil for none. What keeps one has chores, and is called by a schedule.
	Database *lambdaDatabase

	Attempts       int
	AttemptTimeout time.Duration
	// Timeout is that of an invocation, in seconds.
	Timeout int
}

// Title is the name as logical ids have it: OrderCreated.
func (f lambdaFunction) Title() string { return title(f.Name) }

func title(name string) string {
	var title strings.Builder
	for word := range strings.SplitSeq(name, "-") {
		title.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return title.String()
}

// ID is the logical id of the function.
func (f lambdaFunction) ID() string { return f.Title() + "Function" }

// DeadLetterMetrics are the dimension function of the metrics that count its dead letters: what could not be decoded is
// counted for none.
func (f lambdaFunction) DeadLetterMetrics() map[string]string {
	return map[string]string{"failed": f.Name, "undecodable": "none"}
}

// IsService tells whether it answers HTTP requests.
func (f lambdaFunction) IsService() bool { return f.Topic == "" }

// Does says what it does, in a sentence.
func (f lambdaFunction) Does() string {
	does := "reads " + f.Topic + " and publishes to "
	if f.IsService() {
		does = "answers requests and publishes to "
	}
	return f.Name + " " + does + strings.Join(f.Outputs, " and ")
}

// lambdaDatabase is a database that functions and services keep together.
type lambdaDatabase struct{ Name string }

// newDatabase returns the database of a function or service, nil where it has none.
func newDatabase(of string) *lambdaDatabase {
	if name := catalog.Database(of); name != "" {
		return &lambdaDatabase{name}
	}
	return nil
}

// Title is the name as logical ids and parameters have it: Orders.
func (d lambdaDatabase) Title() string { return title(d.Name) }

// databasesOf returns the databases that functions and services keep, each once, sorted.
func databasesOf(functions []lambdaFunction) []lambdaDatabase {
	var all []lambdaDatabase
	for _, f := range functions {
		if f.Database != nil && !slices.Contains(all, *f.Database) {
			all = append(all, *f.Database)
		}
	}
	slices.SortFunc(all, func(a, b lambdaDatabase) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// allFunctions returns every function and service of the catalogue.
func allFunctions() ([]lambdaFunction, error) {
	var functions []lambdaFunction
	var problems []error
	for _, spec := range catalog.Functions() {
		f, err := newFunction(spec)
		functions, problems = append(functions, f), append(problems, err)
	}
	for _, service := range catalog.Services() {
		f, err := newService(service)
		functions, problems = append(functions, f), append(problems, err)
	}
	return functions, errors.Join(problems...)
}

// requestTimeout is how long a request to a service may take, in seconds: what API_TIMEOUT is by default.
const requestTimeout = 30

func newService(s function.Service) (lambdaFunction, error) {
	s, err := s.Complete()
	if err != nil {
		return lambdaFunction{}, err
	}
	outputs, err := topicsOf("service "+s.Name, s.Emits, nil)
	return lambdaFunction{Name: s.Name, Outputs: outputs, Database: newDatabase(s.Name), Timeout: requestTimeout}, err
}

func newFunction(spec function.Spec) (lambdaFunction, error) {
	// The function's bootstrap runs its Spec as it is, in the group of its own name.
	spec, err := spec.InGroup(spec.Name).Complete()
	if err != nil {
		return lambdaFunction{}, err
	}
	outputs, err := topicsOf("function "+spec.Name, spec.Emits, spec.Topics, deadLetters)
	if err != nil {
		return lambdaFunction{}, err
	}
	timeout, err := invocationTimeout(spec)
	return lambdaFunction{
		Name: spec.Name, Topic: spec.Topic, Group: spec.Group, Outputs: outputs, Database: newDatabase(spec.Name),
		Attempts: spec.Attempts, AttemptTimeout: spec.Timeout, Timeout: int(timeout / time.Second),
	}, err
}

// topicsOf returns the topics of types that something emits, and further ones, sorted.
func topicsOf(what string, emits []string, named map[string]string, topics ...string) ([]string, error) {
	for _, name := range emits {
		topic, ok := named[name]
		if !ok {
			known, found := schemas.Lookup(name)
			if !found {
				return nil, fmt.Errorf("%s emits type %s, which has no topic: name one in Spec.Topics", what, name)
			}
			topic = known.Topic
		}
		topics = append(topics, topic)
	}
	slices.Sort(topics)
	return slices.Compact(topics), nil
}

const (
	// maxInvocation is the longest time-out that AWS lets a function behind Kafka have.
	maxInvocation = 14 * time.Minute
	// firstDelay and maxDelay are the defaults of RETRY_FIRST_DELAY and RETRY_MAX_DELAY.
	firstDelay = 200 * time.Millisecond
	maxDelay   = 30 * time.Second
	// spare is for what comes before and after the attempts: the start, publishing, a dead letter, the answer.
	spare = 15 * time.Second
	// timeoutStep is what time-outs are a multiple of.
	timeoutStep = 30 * time.Second
)

// invocationTimeout is how long an invocation may take. All attempts of a record have to fit into one: without a store
// what one invocation has counted, the next does not know.
func invocationTimeout(spec function.Spec) (time.Duration, error) {
	needed := spare + time.Duration(spec.Attempts)*spec.Timeout
	pause := firstDelay
	for range spec.Attempts - 1 {
		needed += pause
		pause = min(2*pause, maxDelay)
	}
	timeout := (needed + timeoutStep - 1).Truncate(timeoutStep)
	if timeout > maxInvocation {
		return 0, fmt.Errorf("function %s: %d attempts of %s take up to %s, longer than the %s of an invocation: lower Attempts or Timeout of its Spec",
			spec.Name, spec.Attempts, spec.Timeout, needed, maxInvocation)
	}
	return timeout, nil
}
