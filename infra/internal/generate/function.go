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

// lambdaFunction is a function as template.yaml has it.
type lambdaFunction struct {
	Name  string
	Topic string
	// Group is the function's own: an event source mapping shares its group with no other, so the functions that read
	// orders cannot share one as they do in one process.
	Group string
	// Outputs are the topics that it publishes to, sorted, with that of dead letters.
	Outputs        []string
	Attempts       int
	AttemptTimeout time.Duration
	// Timeout is that of an invocation, in seconds.
	Timeout int
}

// Title is the name as logical ids have it: OrderCreated.
func (f lambdaFunction) Title() string {
	var title strings.Builder
	for word := range strings.SplitSeq(f.Name, "-") {
		title.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return title.String()
}

// ID is the logical id of the function.
func (f lambdaFunction) ID() string { return f.Title() + "Function" }

// OutputsText lists Outputs in a sentence.
func (f lambdaFunction) OutputsText() string { return strings.Join(f.Outputs, " and ") }

// DeadLetterMetrics are the dimension function of the metrics that count its dead letters: what could not be decoded is
// counted for none.
func (f lambdaFunction) DeadLetterMetrics() map[string]string {
	return map[string]string{"failed": f.Name, "undecodable": "none"}
}

// allFunctions returns every function of the catalogue.
func allFunctions() ([]lambdaFunction, error) {
	var functions []lambdaFunction
	var problems []error
	for _, spec := range catalog.Functions() {
		f, err := newFunction(spec)
		functions, problems = append(functions, f), append(problems, err)
	}
	return functions, errors.Join(problems...)
}

func newFunction(spec function.Spec) (lambdaFunction, error) {
	// The function's bootstrap runs its Spec as it is, in the group of its own name.
	spec, err := spec.InGroup(spec.Name).Complete()
	if err != nil {
		return lambdaFunction{}, err
	}
	outputs, err := outputTopics(spec)
	if err != nil {
		return lambdaFunction{}, err
	}
	timeout, err := invocationTimeout(spec)
	return lambdaFunction{
		Name: spec.Name, Topic: spec.Topic, Group: spec.Group, Outputs: outputs,
		Attempts: spec.Attempts, AttemptTimeout: spec.Timeout, Timeout: int(timeout / time.Second),
	}, err
}

func outputTopics(spec function.Spec) ([]string, error) {
	topics := []string{deadLetters}
	for _, name := range spec.Emits {
		topic, ok := spec.Topics[name]
		if !ok {
			known, found := schemas.Lookup(name)
			if !found {
				return nil, fmt.Errorf("function %s emits type %s, which has no topic: name one in Spec.Topics", spec.Name, name)
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
