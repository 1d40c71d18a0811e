package boot_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// childChores are the chores of a program of the tests.
func childChores(outbox *box) []function.Chore {
	switch os.Getenv(childChore) {
	case "relays":
		return []function.Chore{outbox.relay(os.Getenv(childOut))}
	case "fails":
		return []function.Chore{
			{Name: "tidy", Run: func(context.Context, function.Publish) error { return errors.New("disk is full") }},
			outbox.relay(os.Getenv(childOut)),
		}
	case "waits":
		return []function.Chore{{Name: "tidy", Run: func(context.Context, function.Publish) error { select {} }}}
	}
	return nil
}

// childShop is the service of a program of the tests.
func childShop() function.Service {
	outbox := newBox()
	mux := ordersMux()
	mux.HandleFunc("POST /orders/{id}", func(_ http.ResponseWriter, r *http.Request) { outbox.put(fact(r.PathValue("id"))) })
	mux.HandleFunc("/echo/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		w.Header().Add("X-Many", "one")
		w.Header().Add("X-Many", "two")
		w.WriteHeader(http.StatusAccepted)
		w.Header().Set("X-Late", "too late")
		fmt.Fprintf(w, "%s|%s|%s|%s|%s|%s|%s|%d", r.Method, r.URL.Path, r.RequestURI, r.Host, r.Header.Get("Cookie"), r.RemoteAddr, body, r.ContentLength)
	})
	mux.HandleFunc("GET /told", func(http.ResponseWriter, *http.Request) {
		slog.Debug("the service tells")
		log.Print("a library tells")
	})
	mux.HandleFunc("GET /bytes", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte{0xff, 0xfe}) })
	mux.HandleFunc("GET /empty", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("x", 7<<20))
	})
	mux.HandleFunc("GET /slow", func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	return function.Service{Name: "shop", New: func(function.Lookup) (http.Handler, error) {
		return &shop{Handler: mux, api: &api{}, chores: childChores(outbox)}, nil
	}}
}

// urlEvent is a request to a function URL. change, which may be nil, changes it.
func urlEvent(method, path, body string, change func(map[string]any)) string {
	path, query, _ := strings.Cut(path, "?")
	event := map[string]any{
		"version": "2.0", "rawPath": path, "rawQueryString": query, "isBase64Encoded": false, "body": body,
		"headers": map[string]any{"host": "id.lambda-url.eu-west-1.on.aws", "content-type": "application/json"},
		"requestContext": map[string]any{
			"domainName": "id.lambda-url.eu-west-1.on.aws",
			"http":       map[string]any{"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"},
		},
	}
	if change != nil {
		change(event)
	}
	text, err := json.Marshal(event)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// urlReply is the answer to a request.
type urlReply struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// request has the program answer a request.
func (p *program) request(t *testing.T, id, event string) urlReply {
	t.Helper()
	got := p.invokeWithin(t, id, event, 5*time.Second)
	var r urlReply
	if err := json.Unmarshal([]byte(got.body), &r); err != nil || got.failed {
		t.Fatalf("answer %+v: %v", got, err)
	}
	return r
}

// noKafka are the variables of a service that needs none.
var noKafka = map[string]string{childService: "shop", "LOG_LEVEL": "debug"}

func TestAFunctionURL(t *testing.T) {
	t.Parallel()
	p := startProgram(t, noKafka)
	for i, tc := range []struct {
		name, event string
		code        int
		body        string
	}{
		{"get", urlEvent("GET", "/orders/7", "", nil), 200, "order 7"},
		{"post", urlEvent("POST", "/orders", `{"a":1}`, nil), 201, `{"a":1}`},
		{"escaped path and query", urlEvent("GET", "/echo/a%2Fb%20c?x=1&y=%20", "", nil), 202,
			"GET|/echo/a/b c|/echo/a%2Fb%20c?x=1&y=%20|id.lambda-url.eu-west-1.on.aws||192.0.2.1:0||0"},
		{"badly escaped path", urlEvent("GET", "/echo/100%", "", nil), 202,
			"GET|/echo/100%|/echo/100%25|id.lambda-url.eu-west-1.on.aws||192.0.2.1:0||0"},
		{"body in base64", urlEvent("POST", "/echo/", "aGk=", func(e map[string]any) { e["isBase64Encoded"] = true }), 202,
			"POST|/echo/|/echo/|id.lambda-url.eu-west-1.on.aws||192.0.2.1:0|hi|2"},
		{"cookies", urlEvent("GET", "/echo/", "", func(e map[string]any) { e["cookies"] = []string{"a=1", "b=2"} }), 202,
			"GET|/echo/|/echo/|id.lambda-url.eu-west-1.on.aws|a=1; b=2|192.0.2.1:0||0"},
		{"no such path", urlEvent("GET", "/made-up", "", nil), 404, "404 page not found\n"},
		{"head", urlEvent("HEAD", "/orders/7", "", nil), 200, ""},
		{"empty", urlEvent("GET", "/empty", "", nil), 204, ""},
		{"panic", urlEvent("GET", "/panic", "", nil), 500, `{"title":"Internal Server Error","status":500,"detail":"The request could not be answered."}`},
		{"broken off", urlEvent("GET", "/late", "", nil), 502, `{"title":"Bad Gateway","status":502,"detail":"The answer was cut off."}`},
		{"too large", urlEvent("GET", "/large", "", nil), 500, `{"title":"Internal Server Error","status":500,"detail":"The answer is too large."}`},
		{"write from another site", urlEvent("POST", "/orders", "{}", func(e map[string]any) {
			e["headers"].(map[string]any)["sec-fetch-site"] = "cross-site"
		}), 403, `{"title":"Forbidden","status":403,"detail":"A page of another site must not change anything here."}`},
	} {
		got := p.request(t, fmt.Sprint(i), tc.event)
		if got.StatusCode != tc.code || got.Body != tc.body || got.IsBase64Encoded {
			t.Errorf("%s: got %+v, want %d %s", tc.name, got, tc.code, tc.body)
		}
	}
	if code := p.end(t); code != 0 {
		t.Errorf("exit code %d", code)
	}
	requests := 0.0
	for _, line := range lines(t, p.stdout.String()) {
		if n, ok := line["http_requests_total"].(float64); ok && line["route"] == "GET /orders/{id}" {
			requests += n
		}
	}
	if requests != 1 {
		t.Errorf("%v requests counted in %s", requests, p.stdout)
	}
	all := lines(t, p.stderr.String()) // which would fail for a name that stands twice in a line
	if line := find(t, all, "msg", "handler panicked"); line["level"] != "ERROR" || line["program"] != "shop" || line["service"] != "shop" {
		t.Errorf("line %v", line)
	}
	if line := find(t, all, "route", "/orders/{id}"); line["level"] != "DEBUG" || line["code"] != 200.0 {
		t.Errorf("line %v", line)
	}
}

func TestTheHeadersOfAFunctionURL(t *testing.T) {
	t.Parallel()
	p := startProgram(t, noKafka)
	got := p.request(t, "1", urlEvent("GET", "/echo/", "", nil))
	if got.Headers["X-Many"] != "one,two" || got.Headers["X-Late"] != "" || strings.Join(got.Cookies, " ") != "a=1 b=2" ||
		got.Headers["Set-Cookie"] != "" || !strings.HasPrefix(got.Headers["Content-Type"], "text/plain") {
		t.Errorf("got %+v", got)
	}
	got = p.request(t, "2", urlEvent("GET", "/bytes", "", nil))
	if body, err := base64.StdEncoding.DecodeString(got.Body); err != nil || !got.IsBase64Encoded || string(body) != "\xff\xfe" {
		t.Errorf("got %+v", got)
	}
}

func TestARequestToAFunctionURLEndsBeforeItsInvocation(t *testing.T) {
	t.Parallel()
	p := startProgram(t, noKafka)
	const timeout = 3 * time.Second
	began := time.Now()
	got := p.invokeWithin(t, "1", urlEvent("GET", "/slow", "", nil), timeout)
	if took := time.Since(began); took >= timeout || got.failed || !strings.Contains(got.body, `"statusCode":503`) {
		t.Errorf("answer %+v after %s", got, took)
	}
}

func TestWhatIsNoRequestToAFunctionURL(t *testing.T) {
	t.Parallel()
	p := startProgram(t, noKafka)
	for i, tc := range []struct{ name, event, want string }{
		{"event of a trigger", trigger(0, "a"), "no requestContext.http.method"},
		{"no JSON", "nonsense", "no JSON"},
		{"other types", `{"headers":{"authorization":["hush"]}}`, "no request: /headers/authorization is of another type"},
		{"no base64", urlEvent("POST", "/orders", "hush!", func(e map[string]any) { e["isBase64Encoded"] = true }), "its body is not base64"},
	} {
		got := p.invoke(t, fmt.Sprint(i), tc.event)
		if !got.failed || !strings.Contains(got.body, tc.want) {
			t.Errorf("%s: answer %+v, want an error with %q", tc.name, got, tc.want)
		}
		if strings.Contains(got.body, "hush") {
			t.Errorf("%s: the answer quotes the request: %s", tc.name, got.body)
		}
	}
}

// ruleEvent and schedulerEvent are what the two kinds of schedules send.
const (
	ruleEvent = `{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":"aws.events",` +
		`"account":"111122223333","time":"2026-11-23T16:53:06Z","region":"eu-west-1","resources":["arn:aws:events:eu-west-1:111122223333:rule/r"],"detail":{}}`
	schedulerEvent = `{"version":"0","id":"53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa","detail-type":"Scheduled Event","source":"aws.scheduler",` +
		`"account":"111122223333","time":"2026-11-23T16:53:06Z","region":"eu-west-1","resources":["arn:aws:scheduler:eu-west-1:111122223333:schedule/default/s"],"detail":"{}"}`
)

// Nothing is left to a process that is frozen: what a batch or a request stored is published before the answer.
func TestChoresRunBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	b, environment := onLambda(t, nil)
	out := environment[childOut]
	functions := startProgram(t, with(environment, childChore, "relays"))
	if got := functions.invoke(t, "1", trigger(7, "stores", "a")); got.failed || got.body != allDone {
		t.Errorf("answer %+v", got)
	}
	ids := map[string]bool{}
	for _, r := range b.Records(t, out, 2) {
		ids[header(r, "ce_id")] = true
	}
	if !ids["stored-id-7"] || !ids[function.EmittedID("answer-0", "/test", "id-8", 0)] {
		t.Errorf("published %v", ids)
	}
	shop := startProgram(t, with(environment, childGroups, "", childService, "shop", childChore, "relays", "DEAD_LETTER_TOPIC", "absent"))
	if got := shop.request(t, "1", urlEvent("POST", "/orders/9", "", nil)); got.StatusCode != http.StatusOK {
		t.Errorf("answer %+v", got)
	}
	if got := header(b.Records(t, out, 3)[2], "ce_id"); got != "9" {
		t.Errorf("published %s", got)
	}
}

func TestAScheduleRunsTheChoresOnly(t *testing.T) {
	t.Parallel()
	for name, variables := range map[string]map[string]string{
		"of functions": with(samLocal, childChore, "relays"),
		"of a service": with(samLocal, childGroups, "", childService, "shop", childChore, "relays"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startProgram(t, variables)
			for i, event := range []string{ruleEvent, schedulerEvent} {
				if got := p.invoke(t, fmt.Sprint(i), event); got.failed || got.body != "{}" {
					t.Errorf("answer %+v", got)
				}
			}
			if got := p.invoke(t, "3", strings.ReplaceAll(ruleEvent, "aws.events", "shop.events")); !got.failed {
				t.Errorf("an event that is no schedule's: answer %+v", got)
			}
			p.end(t)
			runs := 0.0
			for _, line := range lines(t, p.stdout.String()) {
				if n, ok := line["chore_runs_total"].(float64); ok && line["chore"] == "outbox" {
					runs += n
				}
			}
			if runs < 2 {
				t.Errorf("%v runs in %s", runs, p.stdout)
			}
		})
	}
}

func TestAFailingChoreOnLambda(t *testing.T) {
	t.Parallel()
	p := startProgram(t, with(samLocal, childChore, "fails"))
	if got := p.invoke(t, "1", trigger(0, "stores")); got.failed || got.body != allDone {
		t.Errorf("the batch is done, but the answer is %+v", got)
	}
	if got := p.invoke(t, "2", ruleEvent); !got.failed || !strings.Contains(got.body, "chore tidy of answer-0: disk is full") {
		t.Errorf("a schedule asks for nothing else, but the answer is %+v", got)
	}
	p.end(t)
	printed := lines(t, p.stdout.String())
	if e, _ := find(t, printed, "topic", "answers")["event"].(map[string]any); e["id"] != "stored-id-0" {
		t.Errorf("the chore behind the one that failed printed %v", e)
	}
	if failed := find(t, printed, "chore", "tidy"); failed["chore_errors_total"] != 1.0 {
		t.Errorf("counted %v", failed)
	}
	if line := find(t, lines(t, p.stderr.String()), "msg", "a chore failed"); line["level"] != "ERROR" || line["error"] != "disk is full" {
		t.Errorf("line %v", line)
	}
}

func TestAChoreThatDoesNotReturnCostsNoAnswer(t *testing.T) {
	t.Parallel()
	p := startProgram(t, with(samLocal, childChore, "waits"))
	const timeout = 3 * time.Second
	for i := range 2 {
		began := time.Now()
		got := p.invokeWithin(t, fmt.Sprint(i), trigger(i, "a"), timeout)
		if took := time.Since(began); took >= timeout || got.failed || got.body != allDone {
			t.Errorf("answer %+v after %s", got, took)
		}
	}
	runtimetest.Eventually(t, "the log says so", func() bool {
		text := p.stderr.String()
		return strings.Contains(text, "cut off") && strings.Contains(text, "has not returned")
	})
}

// Whoever waits for an answer waits neither for Kafka nor for a database that says nothing.
func TestAChoreThatDoesNotReturnHardlyHoldsARequestBack(t *testing.T) {
	t.Parallel()
	p := startProgram(t, with(samLocal, childGroups, "", childService, "shop", childChore, "waits"))
	for i, method := range []string{"GET", "HEAD", "OPTIONS"} {
		if got := p.invoke(t, fmt.Sprint(i), urlEvent(method, "/echo/", "", nil)); got.failed || !strings.Contains(got.body, `"statusCode":202`) {
			t.Errorf("%s: answer %+v", method, got)
		}
	}
	if strings.Contains(p.stderr.String(), "cut off") {
		t.Error("chores ran behind requests that change nothing")
	}
	began := time.Now()
	got := p.invoke(t, "post", urlEvent("POST", "/orders", "{}", nil))
	if took := time.Since(began); took > 10*time.Second || got.failed || !strings.Contains(got.body, `"statusCode":201`) {
		t.Errorf("answer %+v after %s", got, took)
	}
	runtimetest.Eventually(t, "the log says so", func() bool { return strings.Contains(p.stderr.String(), "a chore was cut off") })
}

func TestAServiceOnLambdaThatDoesNotStart(t *testing.T) {
	t.Parallel()
	_, environment := onLambda(t, nil)
	service := with(environment, childGroups, "", childService, "shop", childChore, "relays")
	for _, tc := range []struct {
		name    string
		changes []string
		want    string
	}{
		{"no brokers for its chores", []string{"KAFKA_BROKERS", ""}, "KAFKA_BROKERS must be set on Lambda"},
		{"no topic of its chores", []string{childOut, "absent"}, "chore outbox of shop publishes: topic absent does not exist"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			p := startProgram(t, with(service, tc.changes...))
			if told := receive(t, p.startErrors, "error at the start"); !strings.Contains(told, tc.want) {
				t.Errorf("Lambda is told %s", told)
			}
			p.wait(t)
		})
	}
}
