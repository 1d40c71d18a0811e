package template_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/localdev/trigger/template"
)

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	const serverless = "Transform: AWS::Serverless-2016-10-31\nResources: {F: {Type: AWS::Serverless::Function, Properties: {%s}}}\n"
	const plain = "Resources: {F: {Type: AWS::Lambda::Function, Properties: {%s}}}\n"
	const plainMapping = "Resources: {F: {Type: AWS::Lambda::Function}, M: {Type: AWS::Lambda::EventSourceMapping, Properties: " +
		"{FunctionName: F, EventSourceArn: 'arn:aws:kafka:eu-west-1:1:cluster/c/1', StartingPosition: LATEST}}}\n"
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "not valid YAML"},
		{"a comment", "# nothing", "the template"},
		{"no YAML", "a: [", "not valid YAML"},
		{"two documents", "a: 1\n---\nb: 2\n", "not valid YAML"},
		{"text", "hello", "the template has no resources"},
		{"no resources", "Description: x", "the template has no resources"},
		{"an unknown section", "Resource: {}\nResources: {}", "line 1: Resource: a template has no such section"},
		{"a key twice", "Resources:\n  F: {Type: A}\n  F: {Type: B}\n", `line 3: the key "F" stands in line 2 already`},
		{"a key that is a list", "Resources:\n  ? [a]\n  : b\n", "line 2: a key must be text"},
		{"a resource without type", "Resources: {F: {}}", "Resources.F: must be an object with a Type"},
		{"no Transform", strings.TrimPrefix(fmt.Sprintf(serverless, ""), "Transform: AWS::Serverless-2016-10-31\n"), "needs Transform: AWS::Serverless-2016-10-31"},
		{"a global that is none", "Globals: {Function: {Role: x}}\n" + fmt.Sprintf(serverless, ""), "Globals.Function.Role: Globals cannot set this property"},
		{"time-out", fmt.Sprintf(plain, "Timeout: 901"), "Resources.F.Properties.Timeout: is 901, must be 1 to 900"},
		{"memory", fmt.Sprintf(plain, "MemorySize: 64"), "MemorySize: is 64, must be 128 to 10240"},
		{"concurrency", fmt.Sprintf(plain, "ReservedConcurrentExecutions: -1"), "ReservedConcurrentExecutions: is -1, must be at least 0"},
		{"two architectures", fmt.Sprintf(plain, "Architectures: [arm64, x86_64]"), "Architectures: must name one architecture, not 2"},
		{"one more architecture than the global one", "Globals: {Function: {Architectures: [arm64]}}\n" + fmt.Sprintf(serverless, "Architectures: [x86_64]"), "Architectures: must name one architecture, not 2"},
		{"an unknown architecture", fmt.Sprintf(plain, "Architectures: [riscv]"), `Architectures[0]: is "riscv", must be one of x86_64, arm64`},
		{"a reserved variable", fmt.Sprintf(plain, "Environment: {Variables: {AWS_REGION: x}}"), "Variables.AWS_REGION: Lambda sets this variable itself"},
		{"the name of a variable", fmt.Sprintf(plain, "Environment: {Variables: {A-B: x}}"), "Variables.A-B: the name of a variable"},
		{"variables as a list", fmt.Sprintf(plain, "Environment: {Variables: [a]}"), "Variables: must be an object, is a list"},
		{"an event without type", fmt.Sprintf(serverless, "Events: {E: {}}"), "Events.E.Type: an event has a Type"},
		{"14 minutes", strings.ReplaceAll(event(), "Timeout: 60", "Timeout: 841"), "line 8: Resources.F.Properties.Timeout: is 14m1s, must be at most 14m0s"},
		{"a mapping of Kafka without topic", plainMapping, "Resources.M.Properties.Topics: must name exactly one topic, not 0"},
		{"a parameter without type", "Parameters: {P: {}}\nResources: {}", "Parameters.P: a parameter needs a Type"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			parsed, err := template.Parse([]byte(c.text), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || parsed != nil {
				t.Errorf("Parse: %+v, %v, want an error with %q", parsed, err, c.want)
			}
		})
	}
}

func TestParseWarns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ text, want string }{
		{"Resources: {F: {Type: AWS::Lambda::Function, Properties: {Timout: 5}}}", "Properties.Timout: AWS::Lambda::Function has no such property"},
		{"Resources: {'Fn::ForEach::Fs': [X, [a], {}]}", "Resources.Fn::ForEach::Fs: is not read"},
		{"Resources: {F: {Type: AWS::Lambda::Function, Properties: {Environment: {Variables: {BIG: " + strings.Repeat("x", 4096) + "}}}}}", "have 4099 bytes, Lambda takes 4 KB"},
		{"Resources: {F: {Type: AWS::Lambda::Function, Properties: {Code: !Ref X}}}", "Properties.Code: the folder of the code is not known"},
	} {
		parsed := parse(t, c.text, nil)
		if len(parsed.Warnings) != 1 || !strings.Contains(parsed.Warnings[0], c.want) {
			t.Errorf("the warnings are %q, want one with %q", parsed.Warnings, c.want)
		}
	}
}

func TestAllErrorsAreJoined(t *testing.T) {
	t.Parallel()
	_, err := template.Parse([]byte(event("BatchSize: 0", "MaximumRetryAttempts: -5", "Topics: []")), nil)
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok || len(joined.Unwrap()) != 3 {
		t.Fatalf("got %v, want three errors", err)
	}
	first, ok := errors.AsType[*template.Error](err)
	if !ok || first.Line != 14 || first.Path != properties+"Topics" {
		t.Errorf("the first is %+v, want the one of the first line", first)
	}
}

func TestAnErrorOfAllFunctionsIsToldOnce(t *testing.T) {
	t.Parallel()
	const text = "Transform: AWS::Serverless-2016-10-31\nGlobals: {Function: {Role: x}}\n" +
		"Resources: {F: {Type: AWS::Serverless::Function}, G: {Type: AWS::Serverless::Function}}\n"
	_, err := template.Parse([]byte(text), nil)
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v, want one error", err)
	}
}

func TestAliasesAndMergeKeys(t *testing.T) {
	t.Parallel()
	parsed := parse(t, `
Resources:
  A:
    Type: AWS::Lambda::Function
    Properties: &settings
      Timeout: 7
      MemorySize: 256
      Environment: &environment {Variables: {STAGE: test}}
  B:
    Type: AWS::Lambda::Function
    Properties:
      <<: *settings
      Timeout: 8
  C:
    Type: AWS::Lambda::Function
    Properties:
      <<: [{MemorySize: 512}, *settings]
      Environment: *environment
`, nil)
	b, _ := parsed.Function("B")
	c, _ := parsed.Function("C")
	if b.Timeout.Seconds() != 8 || b.MemoryMB != 256 || b.Environment["STAGE"] != "test" || c.MemoryMB != 512 || c.Timeout.Seconds() != 7 || c.Environment["STAGE"] != "test" {
		t.Errorf("merged into %+v and %+v", b, c)
	}
}

func TestBounds(t *testing.T) {
	t.Parallel()
	var laughs strings.Builder
	laughs.WriteString("a0: &a0 [" + strings.Repeat("x,", 10) + "]\n")
	for i := range 12 {
		fmt.Fprintf(&laughs, "a%d: &a%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", "))
	}
	for _, c := range []struct{ name, text, want string }{
		{"size", strings.Repeat("#", 1<<20+1), "at most 1048576 are read"},
		{"depth", "Resources: " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "more than 100 levels deep"},
		{"great depth", strings.Repeat("[", 500_000), "not valid YAML"},
		{"aliases", laughs.String(), "more than 200000 values"},
		{"a circle", "Resources: &r\n  F: *r\n", ""},
		{"values", "Resources: [" + strings.Repeat("a,", 250_000) + "]", "more than 200000 values"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := template.Parse([]byte(c.text), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Parse: %v, want an error with %q", err, c.want)
			}
		})
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(event("BatchSize: !Ref Needed")))
	f.Add(fmt.Appendf(nil, oneFunction, `!Sub ["${a}", {a: !If [Both, !Select [0, !Ref List], !GetAtt Other.Arn]}]`))
	f.Add([]byte("Resources: &r\n  F: *r\n"))
	f.Add([]byte(`{"Resources": {"F": {"Type": "AWS::Lambda::Function", "Properties": {"Fn::If": []}}}}`))
	f.Add([]byte("Conditions: {A: !Not [!Condition A]}\nResources: {F: {Type: AWS::Lambda::Function, Condition: A}}"))
	f.Fuzz(func(t *testing.T, data []byte) {
		parsed, err := template.Parse(data, &template.Options{Now: now})
		if (parsed == nil) == (err == nil) {
			t.Fatalf("Parse: %v and %v", parsed, err)
		}
		if parsed == nil {
			return
		}
		for _, function := range parsed.Functions {
			for _, m := range function.Mappings {
				if m.Topic == "" || m.BatchSize < 1 || m.Window < 0 || m.Start == "" {
					t.Errorf("an impossible mapping: %+v", m)
				}
			}
		}
	})
}
