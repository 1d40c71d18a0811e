package boot_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// The variables that make a process of this test's binary the program of functions that read topic and publish to out, one
// for each group.
const (
	childGroups = "BOOT_TEST_GROUPS"
	childTopic  = "BOOT_TEST_TOPIC"
	childOut    = "BOOT_TEST_OUT"
	// childService makes it the program of a service, childChore gives either a chore of that kind.
	childService = "BOOT_TEST_SERVICE"
	childChore   = "BOOT_TEST_CHORE"
)

// child runs such a program, where it is one.
func child() {
	if os.Getenv(childService) != "" {
		boot.Serve(childShop())
	}
	groups := os.Getenv(childGroups)
	if groups == "" {
		return
	}
	outbox := newBox()
	var specs []function.Spec
	for i, group := range strings.Split(groups, ",") {
		specs = append(specs, function.Spec{
			Name:     fmt.Sprintf("answer-%d", i),
			Topic:    os.Getenv(childTopic),
			Group:    group,
			Emits:    []string{outType},
			Topics:   map[string]string{outType: os.Getenv(childOut)},
			Attempts: 3,
			New: func(function.Lookup) (function.Handler, error) {
				h := function.Raw(func(ctx context.Context, e event.Event) ([]event.Event, error) {
					if e.Subject() == "stores" {
						outbox.put(fact("stored-" + e.ID()))
						return nil, nil
					}
					return answer(ctx, e)
				}, inType)
				return &worker{Handler: h, chores: childChores(outbox)}, nil
			},
		})
	}
	boot.Main(specs...)
}

// answer is the handler of the program. What it does is said by the event's subject.
func answer(ctx context.Context, e event.Event) ([]event.Event, error) {
	switch e.Subject() {
	case "fails":
		return nil, errors.New("it always fails")
	case "waits":
		fmt.Println(`{"waiting":true}`)
		<-ctx.Done()
		return nil, ctx.Err()
	}
	out := event.New()
	out.SetType(outType)
	out.SetSubject(e.Subject())
	return []event.Event{out}, out.SetData(event.ApplicationJSON, map[string]string{"answer": e.ID()})
}

// orders is the topic that the program reads.
const orders = "orders"

// trigger returns the event of a Kafka trigger with a record of orders for each subject, the first at an offset.
func trigger(offset int, subjects ...string) string {
	var records []string
	for i, subject := range subjects {
		var headers []string
		for _, h := range [][2]string{
			{"ce_specversion", "1.0"}, {"ce_id", fmt.Sprintf("id-%d", offset+i)}, {"ce_source", "/test"}, {"ce_type", inType}, {"ce_subject", subject},
		} {
			headers = append(headers, fmt.Sprintf(`{%q:%s}`, h[0], strings.ReplaceAll(numbers(h[1]), " ", ",")))
		}
		records = append(records, fmt.Sprintf(
			`{"topic":%q,"partition":0,"offset":%d,"timestamp":1764000000000,"timestampType":"CREATE_TIME","value":%q,"headers":[%s]}`,
			orders, offset+i, base64.StdEncoding.EncodeToString([]byte(`{}`)), strings.Join(headers, ",")))
	}
	return fmt.Sprintf(`{"eventSource":"aws:kafka","eventSourceArn":"arn:aws:kafka:eu-west-1:111122223333:cluster/mill/1","bootstrapServers":"b-1:9098",`+
		`"records":{"%s-0":[%s]}}`, orders, strings.Join(records, ","))
}

// numbers are the bytes of text as "[1 2 3]".
func numbers(text string) string { return fmt.Sprintf("%d", []byte(text)) }

const allDone = `{"batchItemFailures":[]}`

// onLambda returns a broker and the variables of a program that uses it.
func onLambda(t *testing.T, o *runtimetest.Options) (*runtimetest.Broker, map[string]string) {
	t.Helper()
	b := runtimetest.Kafka(t, o)
	return b, map[string]string{
		"KAFKA_BROKERS":     strings.Join(b.Addrs, ","),
		"DEAD_LETTER_TOPIC": b.NewTopic(t, 1),
		"RETRY_FIRST_DELAY": "1ms",
		childTopic:          orders,
		childOut:            b.NewTopic(t, 1),
		childGroups:         "answers",
	}
}

// samLocal are the variables of a program without Kafka. What a template leaves out is there and empty.
var samLocal = map[string]string{
	"AWS_SAM_LOCAL": "true", "KAFKA_BROKERS": "", "OTEL_EXPORTER_OTLP_ENDPOINT": "", "RETRY_FIRST_DELAY": "1ms", childTopic: orders, childOut: "answers", childGroups: "answers",
}

func TestLambdaAnswersWhenEverythingIsPublished(t *testing.T) {
	t.Parallel()
	b, environment := onLambda(t, nil)
	p := startProgram(t, environment)
	if got := p.invoke(t, "request-1", trigger(7, "a", "fails", "b")); got.failed || got.body != allDone {
		t.Errorf("answer %+v", got)
	}
	// Nothing is pending when the answer is there: no process has to go on for these.
	var got []string
	for _, r := range b.Records(t, environment[childOut], 2) {
		got = append(got, header(r, "ce_id"))
	}
	want := []string{function.EmittedID("answer-0", "/test", "id-7", 0), function.EmittedID("answer-0", "/test", "id-9", 0)}
	slices.Sort(got)
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Errorf("published %v, want %v", got, want)
	}
	letter := b.Records(t, environment["DEAD_LETTER_TOPIC"], 1)[0]
	if header(letter, "ce_id") != "id-8" || header(letter, "dlq-retry-count") != "2" || header(letter, "dlq-consumer-group") != "answers" {
		t.Errorf("dead letter %v", letter.Headers)
	}
	p.end(t)
	if strings.Contains(p.stdout.String(), `"event"`) {
		t.Errorf("what is published is printed, too:\n%s", p.stdout)
	}
}

func TestWithoutKafkaSAMLocalPrints(t *testing.T) {
	t.Parallel()
	p := startProgram(t, samLocal)
	for i := range 2 {
		if got := p.invoke(t, fmt.Sprint(i), trigger(10*i, "a", "fails")); got.body != allDone {
			t.Errorf("answer %+v", got)
		}
	}
	p.end(t)
	printed := lines(t, p.stdout.String())
	e, _ := find(t, printed, "topic", "answers")["event"].(map[string]any)
	if e["causationid"] != "id-0" || fmt.Sprint(e["data"]) != "map[answer:id-0]" {
		t.Errorf("printed event %v", e)
	}
	letter, _ := find(t, printed, "topic", "dead-letter-queue")["deadLetter"].(map[string]any)
	if letter["originalOffset"] != 1.0 || letter["retryCount"] != 2.0 {
		t.Errorf("printed dead letter %v", letter)
	}
	if said := strings.Count(p.stderr.String(), "nothing is published"); said != 1 {
		t.Errorf("it is said %d times that nothing is published:\n%s", said, p.stderr)
	}
}

func TestLambdaIsToldWhyTheProgramDoesNotStart(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name    string
		changes []string
		want    []string
	}{
		{"no brokers", []string{"KAFKA_BROKERS", ""}, []string{"KAFKA_BROKERS must be set on Lambda"}},
		{"several problems", []string{"KAFKA_BROKERS", "", "EXACTLY_ONCE", "true", "RETRY_MAX_DELAY", "soon"},
			[]string{"KAFKA_BROKERS must", "EXACTLY_ONCE must be false on Lambda", "RETRY_MAX_DELAY"}},
		{"two groups", []string{childGroups, "mails,bills"}, []string{"2: bills (answer-1), mails (answer-0): deploy"}},
		{"no broker answers", []string{"KAFKA_BROKERS", "127.0.0.1:1"}, []string{"127.0.0.1:1", "no broker listens there"}},
		{"no dead letter topic", []string{"DEAD_LETTER_TOPIC", "absent"}, []string{"DEAD_LETTER_TOPIC: topic absent does not exist"}},
		{"no output topic", []string{childOut, "absent"}, []string{"consumer group answers publishes: topic absent does not exist"}},
		{"no store", []string{"IDEMPOTENCY_STORE", "redis", "IDEMPOTENCY_URL", "redis://:hush@127.0.0.1:1"}, []string{"IDEMPOTENCY_URL: Redis at 127.0.0.1:1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, environment := onLambda(t, nil)
			p := startProgram(t, with(environment, tc.changes...))
			told := receive(t, p.startErrors, "error at the start")
			for _, want := range append(tc.want, `"errorMessage":`, "Millrace.StartError") {
				if !strings.Contains(told, want) {
					t.Errorf("Lambda is not told %q: %s", want, told)
				}
			}
			code := p.wait(t)
			if code != 1 || !strings.Contains(p.stderr.String(), tc.want[0]) {
				t.Errorf("exit code %d, standard error:\n%s", code, p.stderr)
			}
			if strings.Contains(told+p.stderr.String(), "hush") {
				t.Error("a password is told")
			}
			if len(p.asked) > 0 {
				t.Error("it asked for an invocation")
			}
		})
	}
}

// cutListeners are listeners whose connections can be cut.
type cutListeners struct {
	mu    sync.Mutex
	conns []net.Conn
}

func (c *cutListeners) listen(network, addr string) (net.Listener, error) {
	l, err := net.Listen(network, addr)
	return &cutListener{l, c}, err
}

func (c *cutListeners) cut() (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.conns {
		conn.Close()
	}
	n, c.conns = len(c.conns), nil
	return n
}

type cutListener struct {
	net.Listener

	all *cutListeners
}

func (l *cutListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.all.mu.Lock()
		defer l.all.mu.Unlock()
		l.all.conns = append(l.all.conns, conn)
	}
	return conn, err
}

// The process is stopped as Lambda freezes it, so that it does not notice that its connections end.
func TestTheFirstEventAfterAFreezeIsPublished(t *testing.T) {
	t.Parallel()
	listeners := &cutListeners{}
	b, environment := onLambda(t, &runtimetest.Options{Embedded: []kfake.Opt{kfake.ListenFn(listeners.listen)}})
	p := startProgram(t, environment)
	for i := range 3 {
		if got := p.invoke(t, fmt.Sprint(i), trigger(i, "a")); got.body != allDone {
			t.Fatalf("answer %d: %+v", i, got)
		}
		receive(t, p.asked, "question for the next")
		p.signal(t, syscall.SIGSTOP)
		if listeners.cut() == 0 {
			t.Error("there was no connection")
		}
		p.signal(t, syscall.SIGCONT)
	}
	b.Records(t, environment[childOut], 3)
}

func TestLambdaLogLines(t *testing.T) {
	t.Parallel()
	p := startProgram(t, with(samLocal, "AWS_LAMBDA_LOG_LEVEL", "DEBUG"))
	p.invoke(t, "request-1", trigger(0, "a"))
	p.invoke(t, "request-2", trigger(5, "fails"))
	if got := p.invoke(t, "request-3", "no JSON"); !got.failed {
		t.Errorf("answer %+v", got)
	}
	p.end(t)
	all := lines(t, p.stderr.String())
	for _, tc := range []struct{ message, level, id string }{
		{"done", "DEBUG", "request-1"},
		{"dead-lettered", "ERROR", "request-2"},
		{"errorMessage", "ERROR", "request-3"}, // of the client of Lambda
	} {
		line := find(t, all, "msg", tc.message)
		if line["level"] != tc.level || line["requestId"] != tc.id {
			t.Errorf("line %v, want level %s and requestId %s", line, tc.level, tc.id)
		}
		if at, _ := line["timestamp"].(string); at == "" {
			t.Errorf("no timestamp: %v", line)
		} else if _, err := time.Parse(time.RFC3339Nano, at); err != nil {
			t.Error(err)
		}
	}
}

func TestTheProgramsOwnLogSettingsCount(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name        string
		environment map[string]string
		json, debug bool
	}{
		{"Lambda's", with(samLocal, "AWS_LAMBDA_LOG_LEVEL", "TRACE", "AWS_LAMBDA_LOG_FORMAT", "Text"), false, true},
		{"our own", with(samLocal, "AWS_LAMBDA_LOG_LEVEL", "DEBUG", "AWS_LAMBDA_LOG_FORMAT", "Text", "LOG_LEVEL", "info", "LOG_FORMAT", "json"), true, false},
		{"none", samLocal, true, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := startProgram(t, tc.environment)
			p.invoke(t, "1", trigger(0, "a"))
			p.end(t)
			text := p.stderr.String()
			if isJSON := strings.HasPrefix(text, "{"); isJSON != tc.json {
				t.Errorf("JSON is %t:\n%s", isJSON, text)
			}
			if debug := strings.Contains(text, "DEBUG"); debug != tc.debug {
				t.Errorf("debug is %t:\n%s", debug, text)
			}
		})
	}
}

func TestAttemptsThatCannotFitAreWarnedOfOnce(t *testing.T) {
	t.Parallel()
	p := startProgram(t, with(samLocal, "RETRY_FIRST_DELAY", "2s"))
	for i := range 2 {
		p.invokeWithin(t, fmt.Sprint(i), trigger(i, "a"), 5*time.Second)
	}
	p.end(t)
	warning := find(t, lines(t, p.stderr.String()), "msg", "attempts of a record do not fit")
	if warning["level"] != "WARN" || warning["waits"] != "6s" || strings.Count(p.stderr.String(), "do not fit") != 1 {
		t.Errorf("warned:\n%s", p.stderr)
	}

	remembers := startProgram(t, with(samLocal, "RETRY_FIRST_DELAY", "2s", "IDEMPOTENCY_STORE", "memory"))
	remembers.invokeWithin(t, "3", trigger(0, "a"), 5*time.Second)
	remembers.end(t)
	if text := remembers.stderr.String(); strings.Contains(text, "do not fit") {
		t.Errorf("warned although a store counts:\n%s", text)
	}
}

func TestTheProgramOnLambdaEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	p := startProgram(t, samLocal)
	p.invoke(t, "1", trigger(0, "a"))
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestAProgramWithoutAnEventEndsWhenItIsToldTo(t *testing.T) {
	t.Parallel()
	p := startProgram(t, samLocal)
	receive(t, p.asked, "question for an invocation")
	const bySignal = -1 // it does not listen yet, and nothing would have to be waited for
	if code := p.end(t); code != 0 && code != bySignal {
		t.Errorf("exit code %d", code)
	}
}

func TestAnInvocationThatRunsIsWaitedFor(t *testing.T) {
	t.Parallel()
	p := startProgram(t, samLocal)
	p.begin(t, invocation{"1", trigger(0, "waits"), 2 * time.Second})
	runtimetest.Eventually(t, "the handler runs", func() bool { return strings.Contains(p.stdout.String(), "waiting") })
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	want := `{"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":0}}]}`
	if got := receive(t, p.answers, "answer"); got.failed || got.body != want {
		t.Errorf("answer %+v, want %s", got, want)
	}
}

// A process that is frozen writes and sends nothing: what there is to tell of an invocation is told before its answer.
func TestMetricsAndSpansAreOutBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	spans := make(chan string, 10)
	collector := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		spans <- string(body)
	}))
	t.Cleanup(collector.Close)
	p := startProgram(t, with(samLocal, "OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL))
	p.invokeWithin(t, "1", trigger(0, "a", "waits"), time.Second)
	select {
	case body := <-spans:
		if !strings.Contains(body, "answer-0") {
			t.Errorf("spans %s", body)
		}
	default:
		t.Error("no spans when the answer came")
	}
	receive(t, p.asked, "question for an invocation")
	p.signal(t, syscall.SIGKILL)
	p.wait(t)
	all := lines(t, p.stdout.String())
	done, handedBack := 0.0, 0.0
	for _, line := range all {
		if n, ok := line["kafka_messages_done_total"].(float64); ok {
			done += n
		}
		if n, ok := line["kafka_messages_handed_back_total"].(float64); ok {
			handedBack += n
		}
	}
	if done != 1 || handedBack != 1 {
		t.Errorf("%v done, %v handed back in %s", done, handedBack, p.stdout)
	}
}
