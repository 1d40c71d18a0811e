package template_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/localdev/trigger/template"
)

func TestParameters(t *testing.T) {
	t.Parallel()
	const text = `
Parameters:
  Stage: {Type: String, Default: test, AllowedValues: [test, live]}
  Count: {Type: Number, Default: 3, MinValue: 2, MaxValue: 5}
  Counts: {Type: List<Number>, Default: "1, 2"}
  Name: {Type: String, Default: abc, MinLength: 2, MaxLength: 4, AllowedPattern: "[a-z]+"}
  Secret: {Type: String, Default: abc, NoEcho: true, AllowedPattern: "[a-z]+"}
  Stored: {Type: "AWS::SSM::Parameter::Value<List<String>>", Default: /x}
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties:
      FunctionName: !Sub ["${Stage}-${Count}-${Name}-${L}-${S}", {L: !Join ["", !Ref Counts], S: !Join ["", !Ref Stored]}]
`
	for _, c := range []struct {
		name  string
		given map[string]string
		want  string
		err   string
	}{
		{name: "overrides", given: map[string]string{"Stage": "live", "Count": "4", "Counts": "7,8", "Name": "xy", "Stored": "p,q"}, want: "live-4-xy-78-pq"},
		{name: "none declared", given: map[string]string{"Stgae": "live"}, err: "Parameters.Stgae: there is a value for this parameter"},
		{name: "not allowed", given: map[string]string{"Stage": "prod"}, err: `Parameters.Stage: the value is "prod", must be one of test, live`},
		{name: "no number", given: map[string]string{"Count": "x"}, err: "must be a number"},
		{name: "too low", given: map[string]string{"Count": "1"}, err: "must be at least 2"},
		{name: "too high", given: map[string]string{"Count": "6"}, err: "must be at most 5"},
		{name: "no number in a list", given: map[string]string{"Counts": "1,x"}, err: `Parameters.Counts: the value is "x", must be a number`},
		{name: "too short", given: map[string]string{"Name": "a"}, err: "at least 2 characters"},
		{name: "too long", given: map[string]string{"Name": "abcde"}, err: "at most 4 characters"},
		{name: "no match", given: map[string]string{"Name": "ABC"}, err: "must match [a-z]+"},
		{name: "secret", given: map[string]string{"Secret": "123"}, err: "Parameters.Secret: the value is hidden, must match"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			parsed, err := template.Parse([]byte(text), &template.Options{Parameters: c.given})
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("%v: %v, want an error with %q", c.given, err, c.err)
				}
				return
			}
			if err != nil || parsed.Functions[0].Name != c.want {
				t.Errorf("%v: %+v, %v, want the name %q", c.given, parsed, err, c.want)
			}
		})
	}
	if f := parse(t, text, nil).Functions[0]; f.Name != "F" {
		t.Errorf("a name that is not known is %q, want the logical id", f.Name)
	}
}

func TestPseudoParameters(t *testing.T) {
	t.Parallel()
	const text = `
Resources:
  F:
    Type: AWS::Lambda::Function
    Properties: {FunctionName: !Sub "${AWS::Partition}:${AWS::Region}:${AWS::AccountId}:${AWS::StackName}:${AWS::URLSuffix}"}
`
	for region, want := range map[string]string{
		"":              "aws:us-east-1:123456789012:local:amazonaws.com",
		"cn-north-1":    "aws-cn:cn-north-1:123456789012:local:amazonaws.com.cn",
		"us-gov-west-1": "aws-us-gov:us-gov-west-1:123456789012:local:amazonaws.com",
	} {
		f := parse(t, text, &template.Options{Region: region}).Functions[0]
		if f.Name != want {
			t.Errorf("in region %q: %s, want %s", region, f.Name, want)
		}
	}
	f := parse(t, text, &template.Options{AccountID: "1", StackName: "s"}).Functions[0]
	if f.Name != "aws:us-east-1:1:s:amazonaws.com" {
		t.Errorf("with options: %s", f.Name)
	}
}
