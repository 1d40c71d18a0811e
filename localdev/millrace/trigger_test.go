package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/localdev/stack"
)

// build builds all functions once for all tests: several commands at a time would write the same files.
var build = sync.OnceValue(func() error {
	path, err := stack.Find(".")
	if err != nil {
		return err
	}
	file, err := stack.Load(path, nil)
	if err != nil {
		return err
	}
	s, err := stack.Open(context.Background(), file, file.Functions, nil)
	if err != nil {
		return err
	}
	return s.Close()
})

func needsFunctions(t *testing.T) {
	t.Helper()
	if err := build(); err != nil {
		t.Fatal(err)
	}
}

// trigger starts millrace trigger and waits until it polls.
func startTrigger(t *testing.T, args ...string) *session {
	t.Helper()
	needsFunctions(t)
	s := begin(t, strings.NewReader(""), append([]string{"trigger"}, args...)...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("millrace trigger said:\n%s\n%s", &s.stdout, &s.stderr)
		}
	})
	return s
}

// leave ends it as Ctrl-C does.
func (s *session) leave(t *testing.T) {
	t.Helper()
	s.interrupt()
	if code := s.end(t); code != 0 {
		t.Errorf("exit code %d, want 0", code)
	}
}

// notified waits for a notification of an order.
func notified(t *testing.T, addr, order string) {
	t.Helper()
	shown := succeedIn(t, "tail", "notification-events", "--kafka", addr, "--from", "start", "--count", "1", "--json")
	if !strings.Contains(shown, `"subject":"notification-`+order+`"`) {
		t.Errorf("the notification is %s", shown)
	}
}

// succeedIn runs a command that may say something on standard error.
func succeedIn(t *testing.T, args ...string) string {
	t.Helper()
	code, stdout, stderr := pipe(t, "", args...)
	if code != 0 {
		t.Fatalf("millrace %s: exit code %d, %s", strings.Join(args, " "), code, stderr)
	}
	return stdout
}

func TestTriggerRunsAFunction(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	s := startTrigger(t, "OrderCreatedFunction", "--kafka", addr, "--parameter", "BatchSize=7")
	until(t, &s.stdout, "Ctrl-C ends")
	succeed(t, orderEnvelope("17"), "publish", "--kafka", addr)
	until(t, &s.stdout, "  done\n")
	notified(t, addr, "order-17")
	s.leave(t)
	line := regexp.MustCompile(`(?m)^\S+  order-created +1  order-events [0-2]@0 +\S+s  done$`)
	if shown := s.stdout.String(); !line.MatchString(shown) || !strings.Contains(shown, "up to 7 in 500ms") || !strings.Contains(shown, "Ending") {
		t.Errorf("it shows\n%s", shown)
	}
	if said := s.stderr.String(); !strings.Contains(said, "Building 1 function.") || strings.Contains(said, "order-paid") {
		t.Errorf("it says\n%s", said)
	}
}

func TestTriggerInJSON(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	s := startTrigger(t, "order-created", "order-paid", "--kafka", addr, "--json")
	until(t, &s.stdout, `"kind":"started"`)
	succeed(t, orderEnvelope("17"), "publish", "--kafka", addr)
	until(t, &s.stdout, `"kind":"committed"`)
	until(t, &s.stdout, `"kind":"log"`) // of order-paid, which does not take the type
	s.leave(t)
	kinds := map[string]bool{}
	for line := range strings.Lines(s.stdout.String()) {
		var object struct {
			Kind     string `json:"kind"`
			Function string `json:"function"`
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Errorf("%s: %v", line, err)
		}
		kinds[object.Kind] = true
	}
	for _, want := range []string{"started", "sent", "answered", "committed", "log"} {
		if !kinds[want] {
			t.Errorf("no line is of kind %s", want)
		}
	}
}

// A developer starts the program with what is printed, as under a debugger.
func TestTriggerWaitsForAProcessThatIsStartedByHand(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	s := startTrigger(t, "order-created", "--kafka", addr, "--debug", "order-created")
	until(t, &s.stdout, "Ctrl-C ends")
	program := exec.CommandContext(t.Context(), filepath.Join(t.TempDir(), "bootstrap"))
	compile := exec.CommandContext(t.Context(), "go", "build", "-o", program.Path, "../../functions/order-created/bootstrap")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	export := regexp.MustCompile(`(?m)^  export (\w+)='(.*)'$`)
	for _, variable := range export.FindAllStringSubmatch(s.stdout.String(), -1) {
		program.Env = append(program.Env, variable[1]+"="+variable[2])
	}
	var said bytes.Buffer
	program.Stdout, program.Stderr = &said, &said
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
		if t.Failed() {
			t.Logf("the program said %s", &said)
		}
	})
	succeed(t, orderEnvelope("17"), "publish", "--kafka", addr)
	until(t, &s.stdout, "  done\n")
	s.leave(t)
}

// What is given up is no secret: the lines say so, and the file is there.
func TestTriggerTellsOfFailures(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	folder := t.TempDir()
	s := startTrigger(t, "--template", broken(t), "--kafka", addr, "--failures", folder)
	until(t, &s.stdout, "Ctrl-C ends")
	succeed(t, orderEnvelope("17"), "publish", "--kafka", addr)
	until(t, &s.stdout, "given up, sent to arn:aws:sqs:us-east-1:1:failed: RetryAttemptsExhausted")
	s.leave(t)
	for _, want := range []string{"error: Millrace.StartError", "NOTIFY_WEBHOOK_SECRET", "notification-requested  | "} {
		if !strings.Contains(s.stdout.String(), want) {
			t.Errorf("nothing shown has %q", want)
		}
	}
	if said := s.stderr.String(); strings.Contains(said, "FunctionError") || strings.Contains(said, "RecordsDropped") {
		t.Errorf("what the lines show is told again:\n%s", said)
	}
	if files, err := filepath.Glob(filepath.Join(folder, "*", "*")); err != nil || len(files) != 1 {
		t.Errorf("the folder of failures holds %v, %v", files, err)
	}
}

// broken is a template whose function lacks a variable.
func broken(t *testing.T) string {
	t.Helper()
	return writeTemplate(t, "notification-requested", `
      Events:
        Records:
          Type: MSK
          Properties:
            Stream: arn:aws:kafka:us-east-1:1:cluster/mill/1
            Topics: [order-events]
            ConsumerGroupId: broken
            StartingPosition: TRIM_HORIZON
            MaximumRetryAttempts: 0
            DestinationConfig: {OnFailure: {Type: SQS, Destination: 'arn:aws:sqs:us-east-1:1:failed'}}
            ProvisionedPollerConfig: {MaximumPollers: 1}`)
}

// writeTemplate writes a template of one function of this repository and returns its path.
func writeTemplate(t *testing.T, function, properties string) string {
	t.Helper()
	code, err := filepath.Abs("../../functions/" + function + "/bootstrap")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "template.yaml")
	text := "Transform: AWS::Serverless-2016-10-31\nResources:\n  Notify:\n    Type: AWS::Serverless::Function\n    Properties:\n" +
		"      Runtime: provided.al2023\n      Handler: bootstrap\n      CodeUri: " + code + properties + "\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTemplatesThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, test := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no file":              {[]string{"--template", filepath.Join(dir, "none.yaml")}, 2, "none.yaml: no such file or directory\nTry: --template FILE"},
		"a folder":             {[]string{"--template", dir}, 2, "is a directory\nTry: "},
		"not YAML":             {[]string{"--template", write("bad.yaml", "a: [")}, 2, "bad.yaml: the template is not valid YAML"},
		"a mistake":            {[]string{"--template", write("wrong.yaml", "Resources: {F: {Type: 'AWS::Serverless::Function', Properties: {Timeout: x}}}")}, 2, "wrong.yaml: line 1: "},
		"too large":            {[]string{"--template", write("large.yaml", strings.Repeat("#", 1<<20)+"\n")}, 2, "at most 1048576 are read"},
		"a parameter too many": {[]string{"--parameter", "Colour=red"}, 2, "Parameters.Colour: "},
		"an unknown function":  {[]string{"order-create"}, 2, "has no function \"order-create\"\nTry: one of the closest, order-created, "},
		"nothing to poll":      {[]string{"--template", writeTemplate(t, "order-created", "")}, 3, "Try: millrace invoke"},
	} {
		code, stdout, stderr := pipe(t, "", append([]string{"trigger"}, test.args...)...)
		if code != test.code || stdout != "" || !strings.Contains(stderr, test.want) {
			t.Errorf("%s: exit code %d, %s%s", name, code, stdout, stderr)
		}
	}
}
