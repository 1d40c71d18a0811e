package template

// truth is what is known of a condition.
type truth int

const (
	no truth = iota
	yes
	maybe
	// asked is a condition that is being evaluated.
	asked
)

func truthOf(b bool) truth {
	if b {
		return yes
	}
	return no
}

// named evaluates the condition of which the place has the name.
func (p place) named() truth {
	name := p.text
	condition := p.section("Conditions").raw(name)
	holds, ok := p.conditions[name]
	switch {
	case condition.missing():
		p.failf("there is no condition %q", name)
		return maybe
	case holds == asked:
		p.failf("condition %s depends on itself", name)
		return maybe
	case ok:
		return holds
	}
	p.conditions[name] = asked
	p.conditions[name] = condition.test()
	return p.conditions[name]
}

// test evaluates a condition.
func (p place) test() truth {
	if p.kind != object || len(p.members) != 1 {
		p.failf("must be one of Fn::Equals, Fn::Not, Fn::And, Fn::Or and Condition")
		return maybe
	}
	name := p.members[0].name
	operand := p.raw(name)
	switch name {
	case "Condition":
		return operand.named()
	case "Fn::Equals":
		return operand.equal()
	case "Fn::Not":
		return operand.not()
	case "Fn::And":
		return operand.all(yes)
	case "Fn::Or":
		return operand.all(no)
	default:
		p.failf("must be one of Fn::Equals, Fn::Not, Fn::And, Fn::Or and Condition")
		return maybe
	}
}

func (p place) equal() truth {
	sides := p.elements()
	if len(sides) != 2 || sides[0].kind != text || sides[1].kind != text {
		p.failf("compares two texts")
		return maybe
	}
	if sides[0].unknown != "" || sides[1].unknown != "" {
		return maybe
	}
	return truthOf(sides[0].text == sides[1].text)
}

func (p place) not() truth {
	if p.kind != list || len(p.items) != 1 {
		p.failf("takes a list of one condition")
		return maybe
	}
	switch p.rawElement(0).test() {
	case yes:
		return no
	case no:
		return yes
	default:
		return maybe
	}
}

// all is And where ideal is yes, Or where it is no: each must be ideal, or the result is the contrary.
func (p place) all(ideal truth) truth {
	if p.kind != list || len(p.items) < 2 || len(p.items) > 10 {
		p.failf("takes a list of 2 to 10 conditions")
		return maybe
	}
	result := ideal
	for i := range p.items {
		switch holds := p.rawElement(i).test(); holds {
		case ideal:
		case maybe:
			if result == ideal {
				result = maybe
			}
		default:
			result = holds
		}
	}
	return result
}
