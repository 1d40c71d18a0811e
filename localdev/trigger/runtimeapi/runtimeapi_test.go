package runtimeapi_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const base = "/2018-06-01/runtime"

// bundle is a server with one session, and a client that stands for its process.
type bundle struct {
	server  *runtimeapi.Server
	session *runtimeapi.Session
	client  http.Client
}

func start(t *testing.T, replaceable bool) *bundle {
	t.Helper()
	server, err := runtimeapi.Start()
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{server: server, session: server.Open(runtimeapi.Process{
		Function: "orders", Version: "$LATEST", Handler: "bootstrap", ARN: "arn:orders", Replaceable: replaceable,
	})}
	b.client.Transport = &http.Transport{}
	t.Cleanup(func() {
		b.client.CloseIdleConnections()
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// reply is what the server said.
type reply struct {
	status int
	body   string
	header http.Header
}

// call sends a request as the process does. headers are names and values in turn.
func (b *bundle) call(t *testing.T, method, path string, body io.Reader, headers ...string) reply {
	t.Helper()
	r, err := b.try(t.Context(), method, "http://"+b.session.Address()+path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (b *bundle) try(ctx context.Context, method, address string, body io.Reader, headers ...string) (reply, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, body)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := b.client.Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, string(text), response.Header}, err
}

func (r reply) want(t *testing.T, status int, body string) {
	t.Helper()
	if r.status != status || r.body != body {
		t.Errorf("got %d %s, want %d %s", r.status, r.body, status, body)
	}
}

const (
	accepted   = `{"status":"OK"}`
	invalidID  = `{"errorMessage":"Invalid request ID","errorType":"InvalidRequestID"}`
	noSuchPath = `{"errorMessage":"no running process has this address","errorType":"UnknownAddress"}`
)

func invalid(from, to string) string {
	return `{"errorMessage":"State transition from ` + from + ` to ` + to +
		` failed for runtime. Error: State transition is not allowed","errorType":"InvalidStateTransition"}`
}

// begin offers an invocation of that id and takes it as the process.
func (b *bundle) begin(t *testing.T, id string) *runtimeapi.Exchange {
	t.Helper()
	e := b.session.Begin(runtimeapi.Invocation{RequestID: id, Deadline: time.UnixMilli(1e12), Payload: []byte(`{}`)})
	b.call(t, "GET", base+"/invocation/next", nil).want(t, 200, `{}`)
	return e
}

func TestAnInvocation(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	e := b.session.Begin(runtimeapi.Invocation{
		RequestID: "id-1", TraceID: "Root=1", Deadline: time.UnixMilli(1764000000123), Payload: []byte(`{"n":1}`),
	})
	next := b.call(t, "GET", base+"/invocation/next", nil)
	next.want(t, 200, `{"n":1}`)
	for key, want := range map[string]string{
		"Lambda-Runtime-Aws-Request-Id": "id-1", "Lambda-Runtime-Deadline-Ms": "1764000000123",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:orders", "Lambda-Runtime-Trace-Id": "Root=1", "Content-Type": "application/json",
	} {
		if got := next.header.Get(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
	select {
	case <-b.session.Ready():
	default:
		t.Error("the session is not ready")
	}
	if _, ok := e.Answer(); ok {
		t.Error("there is an answer before the process gave one")
	}
	b.call(t, "POST", base+"/invocation/id-1/response", strings.NewReader(`"done"`)).want(t, 202, accepted)
	if a, ok := e.Answer(); !ok || string(a.Payload) != `"done"` || a.Failed {
		t.Errorf("got %+v, %t", a, ok)
	}
	select {
	case <-e.Done():
		t.Error("it is done before the process asks for the next")
	default:
	}
	b.begin(t, "id-2")
	<-e.Done()
}

func TestAFunctionError(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	e := b.begin(t, "a")
	// Clients send as much as a mebibyte in this header.
	cause := strings.Repeat("x", 1<<20-1)
	b.call(t, "POST", base+"/invocation/a/error", strings.NewReader(`{"errorType":"E"}`),
		"Lambda-Runtime-Function-Error-Type", "Unhandled", "Lambda-Runtime-Function-Xray-Error-Cause", cause).want(t, 202, accepted)
	if a, ok := e.Answer(); !ok || string(a.Payload) != `{"errorType":"E"}` || !a.Failed || a.ErrorType != "Unhandled" {
		t.Errorf("got %+v, %t", a, ok)
	}
}

func TestWrongIDsAndTimes(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	body := func() io.Reader { return strings.NewReader(`1`) }
	b.call(t, "POST", base+"/invocation/a/response", body()).want(t, 400, invalidID)
	e := b.begin(t, "a")
	b.call(t, "POST", base+"/invocation/b/response", body()).want(t, 400, invalidID)
	b.call(t, "POST", base+"/invocation/b/error", body()).want(t, 400, invalidID)
	b.call(t, "GET", base+"/invocation/next", nil).want(t, 403, invalid("Running", "Ready"))
	b.call(t, "POST", base+"/init/error", body()).want(t, 403, invalid("Running", "InitError"))
	b.call(t, "POST", base+"/invocation/a/response", body()).want(t, 202, accepted)
	b.call(t, "POST", base+"/invocation/a/response", strings.NewReader(`2`)).want(t, 403, invalid("ResponseSent", "InvocationResponse"))
	b.call(t, "POST", base+"/invocation/a/error", body()).want(t, 403, invalid("ResponseSent", "InvocationResponse"))
	if a, _ := e.Answer(); string(a.Payload) != "1" || a.Failed {
		t.Errorf("got %+v", a)
	}
}

func TestAWithdrawnInvocation(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	if b.session.Begin(runtimeapi.Invocation{RequestID: "never"}).Withdraw() {
		t.Error("nobody took it")
	}
	e := b.begin(t, "a")
	if !e.Withdraw() {
		t.Error("the process took it")
	}
	b.call(t, "POST", base+"/invocation/a/response", strings.NewReader("1")).want(t, 400, invalidID)
	if a, ok := e.Answer(); ok {
		t.Errorf("got %+v", a)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	for i, test := range []struct {
		size   int
		stream bool
		status int
		body   string
	}{
		{runtimeapi.MaxPayload, false, 202, accepted},
		{runtimeapi.MaxPayload + 1, false, 413, `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`},
		{runtimeapi.MaxPayload + 1, true, 413, `{"errorMessage":"Exceeded maximum allowed payload size (6291556 bytes).","errorType":"RequestEntityTooLarge"}`},
	} {
		id := strconv.Itoa(i)
		e := b.begin(t, id)
		var body io.Reader = bytes.NewReader(make([]byte, test.size))
		if test.stream {
			body = io.MultiReader(body) // of no known length
		}
		b.call(t, "POST", base+"/invocation/"+id+"/response", body).want(t, test.status, test.body)
		a, ok := e.Answer()
		switch {
		case !ok:
			t.Errorf("%d bytes: no answer", test.size)
		case test.status == 202 && (a.Failed || len(a.Payload) != test.size):
			t.Errorf("%d bytes: got %d, failed %t", test.size, len(a.Payload), a.Failed)
		case test.status == 413 && (a.ErrorType != runtimeapi.TypeResponseTooLarge || !a.Failed || !strings.Contains(string(a.Payload), "6291557 bytes")):
			t.Errorf("%d bytes: got %s", test.size, a.Payload)
		}
	}
}

func TestAnAnswerThatIsCutOff(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	e := b.begin(t, "a")
	conn, err := net.Dial("tcp", b.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	path := strings.TrimPrefix(b.session.Address(), b.server.Addr()) + base + "/invocation/a/response"
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nContent-Length: 10\r\n\r\nhalf", path, b.server.Addr())
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	// The server learns of it a little later; until then it waits for the rest.
	for deadline := time.Now().Add(10 * time.Second); ; {
		r := b.call(t, "POST", base+"/invocation/a/response", strings.NewReader("whole"))
		if r.status == http.StatusAccepted {
			break
		}
		if r.want(t, 403, invalid("InvocationResponse", "InvocationResponse")); t.Failed() || time.Now().After(deadline) {
			t.FailNow()
		}
	}
	if a, _ := e.Answer(); string(a.Payload) != "whole" {
		t.Errorf("got %s", a.Payload)
	}
}

func TestInitError(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	if _, ok := b.session.InitError(); ok {
		t.Error("there is an error before the process gave one")
	}
	b.call(t, "POST", base+"/init/error", strings.NewReader(`{"errorType":"E"}`), "Lambda-Runtime-Function-Error-Type", "T").want(t, 202, accepted)
	if a, ok := b.session.InitError(); !ok || string(a.Payload) != `{"errorType":"E"}` || a.ErrorType != "T" || !a.Failed {
		t.Errorf("got %+v, %t", a, ok)
	}
	b.call(t, "GET", base+"/invocation/next", nil).want(t, 403, invalid("InitError", "Ready"))
}

func TestExtension(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	const register, next = "/2020-01-01/extension/register", "/2020-01-01/extension/event/next"
	name := []string{"Lambda-Extension-Name", "sigterm"}
	refused := func(of, message string) string {
		return `{"errorMessage":"` + message + `","errorType":"Extension.` + of + `"}`
	}
	b.call(t, "POST", register, strings.NewReader(`{}`)).want(t, 403, refused("InvalidExtensionName", "Empty extension name"))
	b.call(t, "POST", register, strings.NewReader(`{"events":["INVOKE"]}`), name...).
		want(t, 403, refused("InvalidEventType", "INVOKE: extensions that wait for events are not emulated"))
	if r := b.call(t, "POST", register, strings.NewReader(`{`), name...); r.status != 403 || !strings.Contains(r.body, "InvalidRequestFormat") {
		t.Errorf("got %+v", r)
	}
	if b.session.Extension() {
		t.Error("nobody registered yet")
	}
	registered := b.call(t, "POST", register, strings.NewReader(`{"events":null}`), name...)
	registered.want(t, 200, `{"functionName":"orders","functionVersion":"$LATEST","handler":"bootstrap"}`)
	if !b.session.Extension() {
		t.Error("the session has no extension")
	}
	id := registered.header.Get("Lambda-Extension-Identifier")
	b.call(t, "GET", next, nil).want(t, 403, refused("MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header"))
	b.call(t, "GET", next, nil, "Lambda-Extension-Identifier", "x").want(t, 403, refused("InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier"))
	other := "00000000-0000-4000-8000-000000000000"
	b.call(t, "GET", next, nil, "Lambda-Extension-Identifier", other).want(t, 403, refused("UnknownExtensionIdentifier", "Unknown extension "+other))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r, err := b.try(ctx, "GET", "http://"+b.session.Address()+next, nil, "Lambda-Extension-Identifier", id); err == nil {
		t.Errorf("got the event %+v", r)
	}
	b.begin(t, "a")
	b.call(t, "POST", register, strings.NewReader(`{}`), name...).want(t, 403, refused("RegistrationClosed", "Extension registration closed already"))
}

func TestWhatIsNotServed(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	for path, want := range map[string]int{base + "/restore/next": 404, "/": 404, "/2018-06-01/ping": 404} {
		if r := b.call(t, "GET", path, nil); r.status != want {
			t.Errorf("%s: %d, want %d", path, r.status, want)
		}
	}
	if r := b.call(t, "POST", base+"/restore/error", strings.NewReader("{}")); r.status != 404 {
		t.Errorf("got %+v", r)
	}
	if r := b.call(t, "POST", base+"/invocation/next", nil); r.status != 405 {
		t.Errorf("got %+v", r)
	}
}

func TestOnlyItsOwnProcessReachesASession(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	other := b.server.Open(runtimeapi.Process{})
	other.Begin(runtimeapi.Invocation{RequestID: "secret"})
	if other.Address() == b.session.Address() {
		t.Error("two sessions have one address")
	}
	guess := "http://" + b.server.Addr() + "/fn/GUESS" + base + "/invocation/next"
	r, err := b.try(t.Context(), "GET", guess, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.want(t, 403, noSuchPath)
	b.session.Close()
	b.call(t, "GET", base+"/invocation/next", nil).want(t, 403, noSuchPath)
}

func TestOnlyTheOwnHostIsAnswered(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.session.Address()+base+"/invocation/next", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = "evil.example"
	response, err := b.client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusForbidden {
		t.Errorf("got %s", response.Status)
	}
}

func TestClosingEndsAPoll(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*bundle){
		"session": func(b *bundle) { b.session.Close(); b.session.Close() },
		"server":  func(b *bundle) { _ = b.server.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := start(t, false)
			ended := make(chan reply)
			go func() {
				r, _ := b.try(context.Background(), "GET", "http://"+b.session.Address()+base+"/invocation/next", nil)
				ended <- r
			}()
			<-b.session.Ready()
			end(b)
			if r := <-ended; r.status == 200 {
				t.Errorf("got %+v", r)
			}
		})
	}
}

func TestOneCallOfNextAtATime(t *testing.T) {
	t.Parallel()
	b := start(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = b.try(ctx, "GET", "http://"+b.session.Address()+base+"/invocation/next", nil)
	}()
	<-b.session.Ready()
	b.call(t, "GET", base+"/invocation/next", nil).want(t, 403, invalid("Ready", "Ready"))
	// When the connection is gone the process may ask again.
	cancel()
	<-ended
	for deadline := time.Now().Add(10 * time.Second); ; {
		short, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, err := b.try(short, "GET", "http://"+b.session.Address()+base+"/invocation/next", nil)
		cancel()
		if errors.Is(err, context.DeadlineExceeded) {
			return // it waited
		}
		if time.Now().After(deadline) {
			t.Fatalf("the process cannot ask again: %v", err)
		}
	}
}

func TestAReplacedProcess(t *testing.T) {
	t.Parallel()
	b := start(t, true)
	lost := b.begin(t, "a")
	answered := b.begin(t, "b")
	<-lost.Done()
	if a, ok := lost.Answer(); ok {
		t.Errorf("got %+v", a)
	}
	b.call(t, "POST", base+"/invocation/a/response", strings.NewReader("late")).want(t, 400, invalidID)
	b.call(t, "POST", base+"/invocation/b/response", strings.NewReader("1")).want(t, 202, accepted)
	if a, ok := answered.Answer(); !ok || string(a.Payload) != "1" {
		t.Errorf("got %+v, %t", a, ok)
	}
}
