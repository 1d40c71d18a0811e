package template

import (
	"encoding/base64"
	"regexp"
	"strconv"
	"strings"
)

// maxText bounds a text that functions make.
const maxText = 64 << 10

// dynamic are the references that CloudFormation looks up while it deploys.
var dynamic = regexp.MustCompile(`\{\{(resolve:[^{}]*)\}\}`)

// evaluate calls the function that stands at the place, if there is one, and returns what it makes.
func (p place) evaluate() place {
	name, ok := p.call()
	if !ok {
		p.value = dynamicReferences(p.value)
		return p
	}
	operand := p.raw(name)
	made := operand.apply(name)
	made.line = p.line
	return place{reader: p.reader, path: p.path, value: made}
}

func dynamicReferences(v value) value {
	if v.kind == text && strings.Contains(v.text, "{{") && dynamic.MatchString(v.text) {
		v.text = dynamic.ReplaceAllString(v.text, "<$1>")
		v.unknown = "a dynamic reference is looked up by AWS alone"
	}
	return v
}

// apply calls the function of that name with the place as its operand.
func (p place) apply(function string) value {
	switch function {
	case "Ref":
		return p.ref(p.text)
	case "Fn::GetAtt":
		return p.attribute()
	case "Fn::Sub":
		return p.sub()
	case "Fn::If":
		return p.choose()
	case "Fn::Join":
		return p.join()
	case "Fn::Split":
		return p.split()
	case "Fn::Select":
		return p.pick()
	case "Fn::FindInMap":
		return p.find()
	case "Fn::Base64":
		return p.evaluate().encode()
	case "Fn::ImportValue":
		return inAccount("ImportValue " + p.evaluate().text)
	default:
		return inAccount(function)
	}
}

// ref is what Ref makes of a name: a parameter, a pseudo-parameter or a resource.
func (p place) ref(name string) value {
	if v, ok := p.parameters[name]; ok {
		return v
	}
	if v, ok := p.pseudo(name); ok {
		return v
	}
	if strings.HasPrefix(name, "AWS::") || name == "" {
		p.failf("there is no pseudo-parameter %q", name)
		return inAccount(name)
	}
	if function, ok := p.functionName(name); ok {
		return function
	}
	return p.elsewhere(name, name)
}

// elsewhere is a placeholder for what AWS knows of a resource, and says so where the template has none of that name.
func (p place) elsewhere(id, what string) value {
	if p.resource(id).missing() {
		return unknown(what, "the template declares no "+id)
	}
	return inAccount(what)
}

// pseudo returns a pseudo-parameter.
func (r *reader) pseudo(name string) (value, bool) {
	partition, suffix := "aws", "amazonaws.com"
	switch {
	case strings.HasPrefix(r.options.Region, "cn-"):
		partition, suffix = "aws-cn", "amazonaws.com.cn"
	case strings.HasPrefix(r.options.Region, "us-gov-"):
		partition = "aws-us-gov"
	}
	switch name {
	case "AWS::AccountId":
		return known(r.options.AccountID), true
	case "AWS::NoValue":
		return value{}, true
	case "AWS::NotificationARNs":
		return value{kind: list}, true
	case "AWS::Partition":
		return known(partition), true
	case "AWS::Region":
		return known(r.options.Region), true
	case "AWS::StackId":
		return inAccount(name), true
	case "AWS::StackName":
		return known(r.options.StackName), true
	case "AWS::URLSuffix":
		return known(suffix), true
	default:
		return value{}, false
	}
}

// functionName returns the name of the function with that logical id: the id itself where AWS makes one up.
func (r *reader) functionName(id string) (value, bool) {
	p := r.resource(id)
	if kind := p.get("Type").text; kind != serverlessFunction && kind != lambdaFunction {
		return value{}, false
	}
	if name, ok := r.names[id]; ok {
		return name, true
	}
	r.names[id] = known(id)
	if name := p.raw("Properties").member("FunctionName"); name.kind == text && name.unknown == "" {
		r.names[id] = known(name.text)
	}
	return r.names[id], true
}

// attribute is what Fn::GetAtt makes of "Id.Attribute" or [Id, Attribute].
func (p place) attribute() value {
	what := p.text
	if p.kind == list {
		var parts []string
		for _, e := range p.elements() {
			parts = append(parts, e.text)
		}
		what = strings.Join(parts, ".")
	}
	id, name, ok := strings.Cut(what, ".")
	if !ok {
		p.failf("is %q, must be a resource and an attribute, such as Cluster.Arn", what)
		return inAccount(what)
	}
	function, ok := p.functionName(id)
	if !ok || name != "Arn" {
		return p.elsewhere(id, what)
	}
	partition, _ := p.pseudo("AWS::Partition")
	return known(strings.Join([]string{"arn", partition.text, "lambda", p.options.Region, p.options.AccountID, "function", function.text}, ":"))
}

// variable is what Fn::Sub replaces; ${!x} stands for ${x}.
var variable = regexp.MustCompile(`\$\{([^${}]*)\}`)

// sub is Fn::Sub of a text, or of a list of a text and what its variables are.
func (p place) sub() value {
	pattern, variables := p, place{}
	if p.kind == list && len(p.items) == 2 {
		pattern, variables = p.rawElement(0), p.rawElement(1)
	}
	if pattern.kind != text {
		p.failf("takes a text, or a list of a text and an object")
		return inAccount("Sub")
	}
	made := builder{at: p}
	at := 0
	values := map[string]value{}
	for _, match := range variable.FindAllStringSubmatchIndex(pattern.text, -1) {
		name := pattern.text[match[2]:match[3]]
		made.add(known(pattern.text[at:match[0]]))
		at = match[1]
		if _, ok := values[name]; !ok {
			values[name] = p.substitute(name, variables)
		}
		made.add(values[name])
	}
	made.add(known(pattern.text[at:]))
	return made.value()
}

// substitute is what one variable stands for.
func (p place) substitute(name string, variables place) value {
	if literal, ok := strings.CutPrefix(name, "!"); ok {
		return known("${" + literal + "}")
	}
	if v := variables.get(name); v.kind != none {
		return variables.member(name).value
	}
	if _, _, ok := strings.Cut(name, "."); ok {
		p.value = known(name)
		return p.attribute()
	}
	return p.ref(name)
}

// builder puts texts together.
type builder struct {
	at      place
	text    strings.Builder
	unknown string
	full    bool
}

func (b *builder) add(v value) {
	switch {
	case v.kind != text:
		b.at.failf("puts texts together, %v is among them", v.kind)
	case b.full || b.text.Len()+len(v.text) > maxText:
		b.full = true
	default:
		b.text.WriteString(v.text)
	}
	if b.unknown == "" {
		b.unknown = v.unknown
	}
}

func (b *builder) value() value {
	if b.full {
		b.at.failf("makes a text of more than %d bytes", maxText)
	}
	return dynamicReferences(value{kind: text, text: b.text.String(), unknown: b.unknown})
}

// choose is Fn::If of a condition's name and two values.
func (p place) choose() value {
	if p.kind != list || len(p.items) != 3 || p.items[0].kind != text {
		p.failf("takes a list of the name of a condition and two values")
		return inAccount("If")
	}
	switch p.rawElement(0).named() {
	case yes:
		return p.rawElement(1).evaluate().value
	case no:
		return p.rawElement(2).evaluate().value
	default:
		name := p.items[0].text
		return unknown("If "+name, "whether condition "+name+" holds is known to AWS alone")
	}
}

// join is Fn::Join of a delimiter and a list of texts.
func (p place) join() value {
	arguments := p.elements()
	if len(arguments) != 2 || arguments[0].kind != text {
		p.failf("takes a list of a delimiter and a list of texts")
		return inAccount("Join")
	}
	if arguments[1].unknown != "" {
		return arguments[1].value
	}
	made := builder{at: p}
	for i, e := range arguments[1].elements() {
		if i > 0 {
			made.add(arguments[0].value)
		}
		made.add(e.value)
	}
	return made.value()
}

// split is Fn::Split of a delimiter and a text. A text that is not known stays whole.
func (p place) split() value {
	arguments := p.elements()
	if len(arguments) != 2 || arguments[0].kind != text || arguments[0].text == "" || arguments[1].kind != text {
		p.failf("takes a list of a delimiter and a text")
		return inAccount("Split")
	}
	if arguments[1].unknown != "" {
		return arguments[1].value
	}
	made := value{kind: list}
	for part := range strings.SplitSeq(arguments[1].text, arguments[0].text) {
		made.items = append(made.items, value{kind: text, text: part, line: p.line})
	}
	return made
}

// pick is Fn::Select of an index and a list.
func (p place) pick() value {
	arguments := p.elements()
	if len(arguments) != 2 {
		p.failf("takes a list of an index and a list")
		return inAccount("Select")
	}
	if arguments[1].unknown != "" {
		return arguments[1].value
	}
	elements := arguments[1].elements()
	i, err := strconv.Atoi(arguments[0].str())
	if err != nil || i < 0 || i >= len(elements) {
		p.failf("the index is %q, the list has %d elements", arguments[0].text, len(elements))
		return inAccount("Select")
	}
	return elements[i].value
}

// find is Fn::FindInMap of a mapping and two keys, and perhaps a default.
func (p place) find() value {
	arguments := p.elements()
	if len(arguments) < 3 || len(arguments) > 4 {
		p.failf("takes a list of a mapping and two keys")
		return inAccount("FindInMap")
	}
	at := p.section("Mappings").value
	for _, key := range arguments[:3] {
		if key.unknown != "" {
			return unknown("FindInMap", key.unknown)
		}
		at = at.get(key.str())
	}
	if at.kind != none {
		return at
	}
	if len(arguments) == 4 {
		return arguments[3].member("DefaultValue").value
	}
	p.failf("there is no mapping %s.%s.%s", arguments[0].text, arguments[1].text, arguments[2].text)
	return inAccount("FindInMap")
}

func (p place) encode() value {
	if p.kind != text || p.unknown != "" {
		return unknown("Base64 "+strings.Trim(p.text, "<>"), p.unknown)
	}
	return known(base64.StdEncoding.EncodeToString([]byte(p.text)))
}
