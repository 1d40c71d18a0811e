package template_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/localdev/trigger/template"
)

// oneFunction is a template whose function has one variable, X.
const oneFunction = `
Transform: AWS::Serverless-2016-10-31
Parameters:
  Text: {Type: String, Default: text}
  Number: {Type: Number, Default: 5}
  List: {Type: CommaDelimitedList, Default: "a, b,c"}
  Needed: {Type: String}
  Stored: {Type: "AWS::SSM::Parameter::Value<String>", Default: /mill/key}
Mappings:
  Sizes: {small: {batch: 10, topics: [x, y]}, eu-west-1: {batch: 20}}
Conditions:
  IsText: !Equals [!Ref Text, text]
  Not: !Not [!Condition IsText]
  Both: !And [!Condition IsText, !Equals [!Ref Number, "5"]]
  Either: {"Fn::Or": [{"Condition": Not}, {"Fn::Equals": [a, b]}]}
  Unknown: !Equals [!Ref Needed, x]
  UnknownOrTrue: !Or [!Condition Unknown, !Condition IsText]
  FalseAndUnknown: !And [!Condition Not, !Condition Unknown]
  UnknownAndFalse: !And [!Condition Unknown, !Condition Not]
Resources:
  Other: {Type: AWS::Serverless::Function, Properties: {FunctionName: !Sub "${AWS::StackName}-other"}}
  Queue: {Type: AWS::SQS::Queue}
  F:
    Type: AWS::Serverless::Function
    Properties:
      Environment:
        Variables:
          XX: %s
`

func TestEvaluate(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, expression, want string }{
		{"text", `hello`, "hello"},
		{"number", `1.50`, "1.50"},
		{"boolean", `True`, "true"},
		{"boolean of YAML 1.1", `yes`, "true"},
		{"boolean of YAML 1.1, false", `off`, "false"},
		{"quoted", `"yes"`, "yes"},
		{"Ref", `!Ref Text`, "text"},
		{"Ref, long", `{Ref: Number}`, "5"},
		{"Ref of a parameter without value", `!Ref Needed`, "<parameter Needed>"},
		{"Ref of a stored parameter", `!Ref Stored`, "<ssm:/mill/key>"},
		{"Ref of a resource", `!Ref Queue`, "<Queue>"},
		{"Ref of a function", `!Ref Other`, "local-other"},
		{"Ref of a pseudo-parameter", `!Ref AWS::Region`, "us-east-1"},
		{"Ref of a stack", `!Ref AWS::StackId`, "<AWS::StackId>"},
		{"Ref of no notifications", `!Join ["", !Ref "AWS::NotificationARNs"]`, ""},
		{"GetAtt", `!GetAtt Queue.Arn`, "<Queue.Arn>"},
		{"GetAtt, a list", `{"Fn::GetAtt": [Queue, Arn]}`, "<Queue.Arn>"},
		{"GetAtt of a function", `!GetAtt Other.Arn`, "arn:aws:lambda:us-east-1:123456789012:function:local-other"},
		{"Sub", `!Sub "${Text}/${AWS::AccountId}/${Queue.Arn}/${!Text}/$Text"`, "text/123456789012/<Queue.Arn>/${Text}/$Text"},
		{"Sub with variables", `!Sub ["${a}-${b}-${Text}", {a: !Ref Number, b: !Sub "${Text}!"}]`, "5-text!-text"},
		{"Join", `!Join ["+", [a, !Ref Text, 1]]`, "a+text+1"},
		{"Join of a list parameter", `!Join ["", !Ref List]`, "abc"},
		{"Join without NoValue", `!Join [",", [a, !Ref "AWS::NoValue", b]]`, "a,b"},
		{"Select", `!Select [1, !Ref List]`, "b"},
		{"Split", `!Select [2, !Split [":", "x:y:z"]]`, "z"},
		{"Split of what is unknown", `!Select [5, !Split [":", !GetAtt Queue.Arn]]`, "<Queue.Arn>"},
		{"FindInMap", `!FindInMap [Sizes, small, batch]`, "10"},
		{"FindInMap by region", `!FindInMap [Sizes, !Ref "AWS::Region", batch, {DefaultValue: 7}]`, "7"},
		{"FindInMap of a list", `!Select [1, !FindInMap [Sizes, small, topics]]`, "y"},
		{"FindInMap of what is unknown", `!FindInMap [Sizes, !Ref Needed, batch]`, "<FindInMap>"},
		{"Base64", `!Base64 abc`, "YWJj"},
		{"Base64 of a function", `{"Fn::Base64": !Ref Text}`, "dGV4dA=="},
		{"Base64 of what is unknown", `!Base64 {Ref: Queue}`, "<Base64 Queue>"},
		{"ImportValue", `!ImportValue {"Fn::Sub": "${Text}-arn"}`, "<ImportValue text-arn>"},
		{"Transform", `{"Fn::Transform": {Name: x}}`, "<Fn::Transform>"},
		{"dynamic reference", `"a {{resolve:ssm:/x:1}} b"`, "a <resolve:ssm:/x:1> b"},
		{"dynamic reference in Sub", `!Sub "{{resolve:ssm:${Text}}}"`, "<resolve:ssm:text>"},
		{"If", `!If [IsText, a, b]`, "a"},
		{"If not", `!If [Not, a, !If [Both, c, d]]`, "c"},
		{"If or", `!If [Either, a, b]`, "b"},
		{"If unknown", `!If [Unknown, a, b]`, "<If Unknown>"},
		{"If unknown or true", `!If [UnknownOrTrue, a, b]`, "a"},
		{"If false and unknown", `!If [FalseAndUnknown, a, b]`, "b"},
		{"If unknown and false", `!If [UnknownAndFalse, a, b]`, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			parsed := parse(t, fmt.Sprintf(oneFunction, c.expression), nil)
			f, ok := parsed.Function("F")
			if !ok || f.Environment["XX"] != c.want {
				t.Errorf("%s = %q, want %q", c.expression, f.Environment["XX"], c.want)
			}
			isPlaceholder := strings.Contains(c.want, "<")
			if warned := len(parsed.Warnings) > 0; warned != isPlaceholder {
				t.Errorf("warnings: %q, want one for a placeholder only", parsed.Warnings)
			}
			for _, w := range parsed.Warnings {
				if !strings.HasPrefix(w, "line 28: Resources.F.Properties.Environment.Variables.XX: ") {
					t.Errorf("the warning %q does not say where", w)
				}
			}
		})
	}
}

func TestNoValueLeavesAMemberOut(t *testing.T) {
	t.Parallel()
	parsed := parse(t, fmt.Sprintf(oneFunction, `!If [Not, a, !Ref AWS::NoValue]`), nil)
	if f, ok := parsed.Function("Queue"); ok {
		t.Errorf("Queue is no function, got %+v", f)
	}
	f, _ := parsed.Function("F")
	if v, ok := f.Environment["XX"]; ok {
		t.Errorf("the variable is there: %q", v)
	}
}

func TestEvaluateRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, expression, want string }{
		{"null", `null`, "XX: must be text, is null"},
		{"list", `[a]`, "XX: must be text, is a list"},
		{"list parameter", `!Ref List`, "XX: must be text, is a list"},
		{"object", `{a: b}`, "XX: must be text, is an object"},
		{"unknown pseudo-parameter", `!Ref AWS::Regio`, `no pseudo-parameter "AWS::Regio"`},
		{"Ref of a list", `{Ref: [a]}`, `no pseudo-parameter ""`},
		{"GetAtt without attribute", `!GetAtt Queue`, "must be a resource and an attribute"},
		{"Sub of a list parameter", `!Sub "${List}"`, "XX.Fn::Sub: puts texts together, a list is among them"},
		{"Sub of three", `!Sub [a, {}, b]`, "takes a text, or a list"},
		{"Join of a text", `!Join ["", abc]`, "XX.Fn::Join[1]: must be a list, is text"},
		{"Join of one", `!Join [","]`, "takes a list of a delimiter"},
		{"Split by nothing", `!Select [0, !Split ["", abc]]`, "takes a list of a delimiter and a text"},
		{"Select beyond", `!Select [3, !Ref List]`, `the index is "3", the list has 3 elements`},
		{"Select below", `!Select [-1, !Ref List]`, `the index is "-1"`},
		{"Select of nothing", `!Select [1]`, "takes a list of an index and a list"},
		{"FindInMap of what is missing", `!FindInMap [Sizes, large, batch]`, "no mapping Sizes.large.batch"},
		{"FindInMap of two", `!FindInMap [Sizes, large]`, "takes a list of a mapping and two keys"},
		{"If of no condition", `!If [Nowhere, a, b]`, `no condition "Nowhere"`},
		{"If of two", `!If [IsText, a]`, "takes a list of the name of a condition and two values"},
		{"much text", `!Sub ["` + strings.Repeat("${a}", 100) + `", {a: "` + strings.Repeat("x", 1000) + `"}]`, "more than 65536 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := template.Parse(fmt.Appendf(nil, oneFunction, c.expression), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "line ") {
				t.Errorf("%s: %v, want an error with %q", c.expression, err, c.want)
			}
		})
	}
}

// A chain of functions, each named after the next one many times, must not take the time of all combinations.
func TestNamesOfNamesEnd(t *testing.T) {
	t.Parallel()
	var text strings.Builder
	text.WriteString("Resources:\n")
	for i := range 200 {
		fmt.Fprintf(&text, "  F%d: {Type: AWS::Lambda::Function, Properties: {FunctionName: !Join ['', [!Select [0, [!Ref F%d, !Ref F%d]]]]}}\n", i, i+1, (i+2)%200)
	}
	text.WriteString("  F200: {Type: AWS::Lambda::Function, Properties: {FunctionName: end}}\n")
	f, _ := parse(t, text.String(), nil).Function("F0")
	if f.Name != "end" {
		t.Errorf("the name is %q, want end", f.Name)
	}
}

func TestConditions(t *testing.T) {
	t.Parallel()
	const text = `
Conditions:
  C: %s
  True: !Equals [a, a]
  Loop: !Not [!Condition Loop]
Parameters: {Needed: {Type: String}}
Resources: {F: {Type: AWS::Lambda::Function, Condition: C}}
`
	for _, c := range []struct{ name, condition, err string }{
		{"not of two", `!Not [!Condition True, !Condition True]`, "takes a list of one condition"},
		{"and of one", `!And [!Condition True]`, "2 to 10 conditions"},
		{"equals of lists", `!Equals [[a], [a]]`, "compares two texts"},
		{"equals of one", `!Equals [a]`, "compares two texts"},
		{"text", `true`, "must be one of Fn::Equals"},
		{"another function", `!Sub x`, "must be one of Fn::Equals"},
		{"no such condition", `!Condition Nowhere`, `no condition "Nowhere"`},
		{"a loop", `!Condition Loop`, "Conditions.Loop.Fn::Not[0].Condition: condition Loop depends on itself"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := template.Parse(fmt.Appendf(nil, text, c.condition), nil)
			if err == nil || !strings.Contains(err.Error(), c.err) {
				t.Errorf("%s: %v, want an error with %q", c.condition, err, c.err)
			}
		})
	}
	parsed := parse(t, fmt.Sprintf(text, `!Equals [!Ref Needed, a]`), nil)
	if len(parsed.Functions) != 1 || len(parsed.Warnings) != 1 || !strings.Contains(parsed.Warnings[0], "taken to hold") {
		t.Errorf("a condition that is not known: %+v", parsed)
	}
}
