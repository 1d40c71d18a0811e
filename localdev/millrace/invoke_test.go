package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
)

// testdata are the events of the functions in this repository.
const testdata = "../../functions/order-created/testdata/"

// invokeFunction runs millrace invoke.
func invokeFunction(t *testing.T, input string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	needsFunctions(t)
	return pipe(t, input, append([]string{"invoke"}, args...)...)
}

// invoked is what millrace invoke --json prints.
type invoked struct {
	Function string `json:"function"`
	Answer   *struct {
		Failures []any `json:"batchItemFailures"`
	} `json:"answer"`
	HandedBack int        `json:"handedBack"`
	Error      *errorJSON `json:"error"`
	Published  []string   `json:"published"`
	Emitted    []struct {
		Topic string `json:"topic"`
		Event *struct {
			Subject   string `json:"subject"`
			Causation string `json:"causationid"`
		} `json:"event"`
		DeadLetter map[string]any `json:"deadLetter"`
	} `json:"emitted"`
	Log []string `json:"log"`
}

func parseInvoked(t *testing.T, stdout string) invoked {
	t.Helper()
	var got invoked
	if err := json.Unmarshal([]byte(stdout), &got); err != nil {
		t.Fatalf("%s: %v", stdout, err)
	}
	return got
}

// Each form of an event leads to the same notification.
func TestInvokeTakesEveryFormOfAnEvent(t *testing.T) {
	t.Parallel()
	whole, err := os.ReadFile(testdata + "envelope.json")
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		input string
		args  []string
		want  int
	}{
		"MSK":                      {"", []string{"-e", testdata + "msk.json"}, 3},
		"CloudEvents":              {"", []string{"-e", testdata + "event.json"}, 1},
		"an envelope":              {"", []string{"-e", testdata + "envelope.json"}, 1},
		"standard input":           {string(whole), []string{"-e", "-"}, 1},
		"an array":                 {"[" + string(whole) + "," + string(whole) + "]", []string{"-e", "-"}, 2},
		"by the logical id":        {string(whole), []string{"-e", "-", "--parameter", "LogLevel=debug"}, 1},
		"an order with no records": {`{"eventSource":"aws:kafka","records":{}}`, []string{"-e", "-"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			function := "order-created"
			if name == "by the logical id" {
				function = "OrderCreatedFunction"
			}
			code, stdout, stderr := invokeFunction(t, test.input, append([]string{function, "--json"}, test.args...)...)
			if code != 0 || stderr != "" {
				t.Fatalf("exit code %d, %s", code, stderr)
			}
			got := parseInvoked(t, stdout)
			if got.Function != "order-created" || got.Answer == nil || len(got.Answer.Failures) != 0 || len(got.Emitted) != test.want || len(got.Log) < 3 {
				t.Fatalf("it printed %s", stdout)
			}
			for _, e := range got.Emitted {
				if e.Topic != "notification-events" || e.Event == nil || e.Event.Subject != "notification-12345" || e.Event.Causation == "" {
					t.Errorf("it emitted %+v", e)
				}
			}
		})
	}
}

func TestInvokeForAPerson(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := invokeFunction(t, "", "order-created", "-e", testdata+"envelope.json")
	if code != 0 {
		t.Errorf("exit code %d", code)
	}
	if !strings.HasPrefix(stdout, "\nEmitted:\n  to notification-events\n    {\n") || !strings.HasSuffix(stdout, "\nAnswer:\n  {\"batchItemFailures\":[]}\n") {
		t.Errorf("on standard output:\n%s", stdout)
	}
	for _, want := range []string{"START RequestId: ", "END RequestId: ", "REPORT RequestId: ", "nothing is published"} {
		if !strings.Contains(stderr, want) || strings.Contains(stderr, "_aws") {
			t.Errorf("the log has no %q, or metrics:\n%s", want, stderr)
		}
	}
}

func TestInvokePublishesWhereItIsTold(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	code, stdout, stderr := invokeFunction(t, orderEnvelope("17"), "order-created", "-e", "-", "--kafka", addr)
	if code != 0 || !strings.Contains(stdout, "published to "+addr) {
		t.Fatalf("exit code %d, %s%s", code, stdout, stderr)
	}
	notified(t, addr, "order-17")
}

// A record that is poison is done: its dead letter is printed.
func TestInvokeShowsADeadLetter(t *testing.T) {
	t.Parallel()
	const poison = `{"eventSource":"aws:kafka","records":{"order-events-0":[{"topic":"order-events","partition":0,"offset":1,` +
		`"timestamp":1764000000000,"timestampType":"CREATE_TIME","key":"aw==","value":"Z2FyYmFnZQ==","headers":[]}]}}`
	code, stdout, stderr := invokeFunction(t, poison, "order-created", "-e", "-", "--json")
	got := parseInvoked(t, stdout)
	if code != 0 || len(got.Emitted) != 1 || got.Emitted[0].Topic != "dead-letter-queue" || got.Emitted[0].DeadLetter == nil {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, _ := invokeFunction(t, poison, "order-created", "-e", "-"); code != 0 || !strings.Contains(stdout, "  dead letter to dead-letter-queue\n") {
		t.Errorf("exit code %d, %s", code, stdout)
	}
}

// The mail server is down, so that the record cannot be handled before the deadline: it is handed back.
func TestInvokeSaysWhatIsHandedBack(t *testing.T) {
	t.Parallel()
	file := writeTemplate(t, "notification-requested", `
      Timeout: 2
      Environment:
        Variables:
          SMTP_ADDR: 127.0.0.1:1
          SMTP_TLS: none
          NOTIFY_WEBHOOK_URL: http://127.0.0.1:1/
          NOTIFY_WEBHOOK_SECRET: whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=
      Events:
        Records:
          Type: MSK
          Properties: {Stream: 'arn:aws:kafka:us-east-1:1:cluster/mill/1', Topics: [notification-events], StartingPosition: LATEST}`)
	args := []string{"notification-requested", "--template", file, "-e", testdata + "requested.json"}
	code, stdout, stderr := invokeFunction(t, "", args...)
	if code != 1 || !strings.Contains(stdout, `"itemIdentifier":{"partition":"notification-events-0","offset":0}`) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if !strings.Contains(stderr, "millrace: notification-requested handed back 1 record\nTry: ") {
		t.Errorf("it says %s", stderr)
	}
}

func TestInvokeSaysThatAFunctionFails(t *testing.T) {
	t.Parallel()
	code, stdout, stderr := invokeFunction(t, "", "notification-requested", "--template", broken(t), "-e", testdata+"msk.json", "--json")
	got := parseInvoked(t, stdout)
	if code != 1 || got.Error == nil || got.Error.Type != "Millrace.StartError" || got.Answer != nil {
		t.Errorf("exit code %d, %s", code, stdout)
	}
	if !strings.Contains(stderr, "\nmillrace: notification-requested failed: Millrace.StartError: ") {
		t.Errorf("it says %s", stderr)
	}
}

// The sources are not needed where the program is there.
func TestInvokeTakesWhatWasBuiltBefore(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "template.yaml")
	const text = "Transform: AWS::Serverless-2016-10-31\nResources:\n  Orders:\n    Type: AWS::Serverless::Function\n" +
		"    Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: functions/order-created}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(filepath.Dir(file), "bin", "functions", "order-created", "bootstrap")
	compile := exec.CommandContext(t.Context(), "go", "build", "-o", program, "../../functions/order-created/bootstrap")
	if out, err := compile.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	args := []string{"invoke", "order-created", "--template", file, "-e", testdata + "msk.json"}
	if code, stdout, stderr := pipe(t, "", append(args, "--prebuilt")...); code != 0 || !strings.Contains(stdout, `{"batchItemFailures":[]}`) {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
	if code, stdout, stderr := pipe(t, "", args...); code != 1 || stdout != "" || !strings.Contains(stderr, "the code of function Orders: ") {
		t.Errorf("without --prebuilt: exit code %d, %s%s", code, stdout, stderr)
	}
}

func TestInvokeShowsWhatTheCompilerSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"template.yaml": "Transform: AWS::Serverless-2016-10-31\nResources:\n  Orders:\n    Type: AWS::Serverless::Function\n" +
			"    Properties: {Runtime: provided.al2023, Handler: bootstrap, CodeUri: .}\n",
		"go.mod":  "module example\n",
		"main.go": "package main\n\nfunc main() { undefined() }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	code, stdout, stderr := pipe(t, "", "invoke", "Orders", "--template", filepath.Join(dir, "template.yaml"), "-e", testdata+"msk.json")
	if code != 1 || stdout != "" || !strings.Contains(stderr, "undefined: undefined") || !strings.Contains(stderr, "\nTry: correct the function") {
		t.Errorf("exit code %d, %s%s", code, stdout, stderr)
	}
}

func TestEventsThatCannotBeInvoked(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large.json")
	if err := os.WriteFile(large, []byte(`{"records":{"t-0":[]},"x":"`+strings.Repeat("x", 7<<20)+`"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		input string
		args  []string
		want  string
	}{
		"no file":             {"", []string{"order-created", "-e", "none.json"}, "none.json: no such file"},
		"a folder":            {"", []string{"order-created", "-e", testdata}, "is a directory"},
		"nothing":             {"", []string{"order-created", "-e", "-"}, "standard input holds no event"},
		"not JSON":            {"{\n\"a\": x}", []string{"order-created", "-e", "-"}, "line 1 (item 1): is not JSON: "},
		"no event":            {"{}", []string{"order-created", "-e", "-"}, "is neither a CloudEvent"},
		"too large":           {"", []string{"order-created", "-e", large}, "exceeds Lambda's maximum of"},
		"an unknown function": {"{}", []string{"order-creatd", "-e", "-"}, "Try: one of the closest, order-created, "},
		"no Kafka": {orderEnvelope("1"), []string{"order-created", "-e", "-", "--template", writeTemplate(t, "order-created", "")},
			"has no event source of Kafka"},
	} {
		code, stdout, stderr := pipe(t, test.input, append([]string{"invoke"}, test.args...)...)
		if code != exitUsage || stdout != "" || !strings.Contains(stderr, test.want) || !strings.Contains(stderr, "\nTry: ") {
			t.Errorf("%s: exit code %d, %s%s", name, code, stdout, stderr)
		}
	}
}
