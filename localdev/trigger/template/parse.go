package template

import (
	"slices"
	"strings"
	"time"
)

// Options are what a deployment would know. The zero value is fine.
type Options struct {
	// Parameters override the defaults of the template's parameters. One that the template does not declare is an error.
	Parameters map[string]string
	// AccountID, Region and StackName are what AWS::AccountId and so on stand for: 123456789012, us-east-1 and local by
	// default, as with sam local.
	AccountID, Region, StackName string
	// Now is what StartingPositionTimestamp must not be after; the time of the call by default.
	Now time.Time
}

func (o *Options) withDefaults() Options {
	var full Options
	if o != nil {
		full = *o
	}
	if full.AccountID == "" {
		full.AccountID = "123456789012"
	}
	if full.Region == "" {
		full.Region = "us-east-1"
	}
	if full.StackName == "" {
		full.StackName = "local"
	}
	if full.Now.IsZero() {
		full.Now = time.Now()
	}
	return full
}

// sections are what a template may have at the top.
var sections = []string{
	"AWSTemplateFormatVersion", "Conditions", "Description", "Globals", "Hooks", "Mappings", "Metadata", "Outputs",
	"Parameters", "Resources", "Rules", "Transform",
}

// The types of resources that are read.
const (
	serverlessFunction = "AWS::Serverless::Function"
	lambdaFunction     = "AWS::Lambda::Function"
	eventSourceMapping = "AWS::Lambda::EventSourceMapping"
)

// Parse reads a SAM template, YAML or JSON, of at most 1 MiB. What AWS would refuse, and what must be known but is not
// without an account, is an [*Error]; all of them are joined.
func Parse(data []byte, o *Options) (*Template, error) {
	root, err := load(data)
	if err != nil {
		return nil, err
	}
	r := &reader{options: o.withDefaults(), conditions: map[string]truth{}, names: map[string]value{}, groups: map[string]string{}}
	r.root = place{reader: r, value: root}
	r.readParameters()
	t := &Template{Functions: r.functions()}
	t.Warnings, t.Notes = r.warnings.lines(), r.notes.lines()
	if err := r.problems.err(); err != nil {
		return nil, err
	}
	return t, nil
}

// reader holds what is known while a template is read.
type reader struct {
	options    Options
	root       place
	parameters map[string]value
	// conditions are those that were evaluated.
	conditions map[string]truth
	// names are those of functions, by logical id. The name of one that is being looked for is its id.
	names map[string]value
	// groups are the consumer groups, with the path of where each is.
	groups map[string]string

	problems, warnings, notes findings
}

// section returns a part at the top of the template.
func (r *reader) section(name string) place {
	p := r.root.raw(name)
	p.path = name
	return p
}

// resource returns a resource by its logical id.
func (r *reader) resource(id string) place { return r.section("Resources").raw(id) }

func (r *reader) functions() []Function {
	for _, m := range r.root.members {
		if !slices.Contains(sections, m.name) {
			r.section(m.name).failf("a template has no such section")
		}
	}
	if r.root.kind != object || r.section("Resources").kind != object {
		r.section("Resources").failf("the template has no resources")
		return nil
	}
	resources := r.resources()
	var functions []Function
	for _, p := range resources {
		if kind := p.get("Type").text; kind == serverlessFunction || kind == lambdaFunction {
			functions = append(functions, p.function(kind))
		}
	}
	for _, p := range resources {
		if p.get("Type").text == eventSourceMapping {
			p.attach(functions)
		}
	}
	return functions
}

// resources returns the resources that there are, conditions considered.
func (r *reader) resources() []place {
	var resources []place
	for _, m := range r.section("Resources").members {
		p := r.resource(m.name)
		switch {
		case strings.HasPrefix(m.name, "Fn::"):
			p.warnf("is not read: functions that it makes are missing here")
		case p.kind != object || p.get("Type").kind != text:
			p.failf("must be an object with a Type")
		case r.applies(p):
			resources = append(resources, p)
		}
	}
	return resources
}

// applies tells whether a resource's Condition, if it has one, holds. It is taken to hold where that is not known.
func (r *reader) applies(p place) bool {
	condition := p.raw("Condition")
	if condition.missing() {
		return true
	}
	holds := condition.named()
	if holds == maybe {
		p.warnf("whether its Condition %s holds is not known without an account: it is taken to hold", condition.text)
	}
	return holds != no
}
