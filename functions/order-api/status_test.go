package orderapi_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/functions/internal/orderstore"
	orderapi "github.com/millrace/millrace/functions/order-api"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

const problems = "https://millrace.dev/problems/"

// refusals are requests that change nothing, each with its status, the type of its problem, and words of it.
var refusals = map[string]struct {
	method, path, body string
	headers            []string
	status             int
	kind, words        string
}{
	"no path":                  {method: "GET", path: "/", status: 404, words: "/docs"},
	"a path that is not clean": {method: "GET", path: "/orders//PENDING", status: 404},
	"a path with dots":         {method: "GET", path: "/docs/../orders", status: 404},
	"a slash at the end":       {method: "POST", path: "/orders/", body: basket, status: 404},
	"no order":                 {method: "GET", path: "/orders/nobody", status: 404, kind: "unknown-order", words: "nobody"},
	"a change of no order":     {method: "POST", path: "/orders/nobody/payment", body: paid, status: 404, kind: "unknown-order", words: "nobody"},
	"a version of no order":    {method: "POST", path: "/orders/nobody/payment", body: paid, headers: []string{"If-Match", `"1"`}, status: 404, kind: "unknown-order"},
	"an id that is too long":   {method: "GET", path: "/orders/" + strings.Repeat("x", 257), status: 422, kind: "invalid", words: "path.id"},
	"an id with NUL":           {method: "GET", path: "/orders/%00", status: 422, kind: "invalid", words: "path.id"},
	"an id that is no UTF-8":   {method: "GET", path: "/orders/%ff", status: 400, kind: "unreadable"},

	"another method":       {method: "DELETE", path: "/orders/PENDING", status: 405, words: "Allow"},
	"no way to accept":     {method: "POST", path: "/orders", body: basket, headers: []string{"Accept", "text/html, application/json;q=0"}, status: 406},
	"nonsense to accept":   {method: "GET", path: "/orders/PENDING", headers: []string{"Accept", "json"}, status: 406},
	"a form":               {method: "POST", path: "/orders", body: basket, headers: []string{"Content-Type", "application/x-www-form-urlencoded"}, status: 415, words: "application/json"},
	"something like JSON":  {method: "POST", path: "/orders", body: basket, headers: []string{"Content-Type", "application/merge-patch+json"}, status: 415},
	"another charset":      {method: "POST", path: "/orders", body: basket, headers: []string{"Content-Type", "application/json; charset=latin1"}, status: 415},
	"a body of no type":    {method: "POST", path: "/orders", body: basket, headers: []string{"Content-Type", ""}, status: 415},
	"a body that is large": {method: "POST", path: "/orders", body: strings.Repeat(" ", 64<<10+1), status: 413, words: "65536"},

	"no body":               {method: "POST", path: "/orders", status: 400, kind: "unreadable", words: "body is required"},
	"no JSON":               {method: "POST", path: "/orders", body: `{"customerId":secret`, status: 400, kind: "unreadable", words: "byte 14"},
	"a member twice":        {method: "POST", path: "/orders", body: `{"customerId":"a","customerId":"b"}`, status: 400, kind: "unreadable"},
	"text that is no UTF-8": {method: "POST", path: "/orders", body: "{\"customerId\":\"\xff\"}", status: 400, kind: "unreadable"},
	"a number beyond all":   {method: "POST", path: "/orders", body: `{"amount":1e999}`, status: 400, kind: "unreadable"},

	"an unknown member":      {method: "POST", path: "/orders", body: with(`"secret":1`), status: 422, kind: "invalid", words: "body.secret"},
	"another case":           {method: "POST", path: "/orders", body: with(`"Payment":"manual"`), status: 422, kind: "invalid", words: "/Payment"},
	"an id of the client":    {method: "POST", path: "/orders", body: with(`"orderId":"mine"`), status: 422, kind: "invalid", words: "body.orderId"},
	"null":                   {method: "POST", path: "/orders", body: with(`"payment":null`), status: 422, kind: "invalid", words: "body.payment"},
	"no object":              {method: "POST", path: "/orders", body: `[]`, status: 422, kind: "invalid"},
	"no items":               {method: "POST", path: "/orders", body: `{"customerId":"c","items":[]}`, status: 422, kind: "invalid", words: "body.items"},
	"too many items":         {method: "POST", path: "/orders", body: items(201), status: 422, kind: "invalid", words: "body.items"},
	"more than an event has": {method: "POST", path: "/orders", body: wide(), status: 422, kind: "invalid", words: "61440 bytes"},
	"no pieces":              {method: "POST", path: "/orders", body: line(`"quantity":0,"price":1`), status: 422, kind: "invalid", words: "body.items[0].quantity"},
	"half a piece":           {method: "POST", path: "/orders", body: line(`"quantity":0.5,"price":1`), status: 422, kind: "invalid", words: "body.items[0].quantity"},
	"a price below 0":        {method: "POST", path: "/orders", body: line(`"quantity":1,"price":-0.01`), status: 422, kind: "invalid", words: "body.items[0].price"},
	"a price that is text":   {method: "POST", path: "/orders", body: line(`"quantity":1,"price":"1"`), status: 422, kind: "invalid", words: "body.items[0].price"},
	"too many digits":        {method: "POST", path: "/orders", body: line(`"quantity":1,"price":0.12345678901234567891`), status: 422, kind: "invalid", words: "19 digits"},
	"a sum beyond money":     {method: "POST", path: "/orders", body: line(`"quantity":1000000000,"price":999999999999.9`), status: 422, kind: "invalid", words: "19 digits"},
	"another mode":           {method: "POST", path: "/orders", body: with(`"payment":"later"`), status: 422, kind: "invalid", words: "body.payment"},
	"no currency":            {method: "POST", path: "/orders", body: with(`"currency":"euro"`), status: 422, kind: "invalid", words: "body.currency"},
	"no address":             {method: "POST", path: "/orders", body: with(`"shippingAddress":{"planet":"Mars"}`), status: 422, kind: "invalid", words: "body.shippingAddress"},
	"NUL in text":            {method: "POST", path: "/orders", body: strings.Replace(basket, "customer-789", `\u0000`, 1), status: 422, kind: "invalid", words: "body.customerId"},
	"text that is too long":  {method: "POST", path: "/orders/PENDING/cancellation", body: `{"reason":"` + strings.Repeat("secret", 50) + `"}`, status: 422, kind: "invalid", words: "body.reason"},
	"a body for nothing":     {method: "POST", path: "/orders/SHIPPED/delivery", body: `{"deliveredAt":"now"}`, status: 422, kind: "invalid", words: "body.deliveredAt"},

	"an unknown parameter":    {method: "GET", path: "/orders/PENDING?secret=1", status: 422, kind: "invalid", words: "query.secret"},
	"a page before the first": {method: "GET", path: "/orders?page=0", status: 422, kind: "invalid", words: "query.page"},
	"a page of no number":     {method: "GET", path: "/orders?page=first", status: 422, kind: "invalid", words: "query.page"},
	"an empty page":           {method: "GET", path: "/orders?page=", status: 422, kind: "invalid", words: "query.page"},
	"two pages":               {method: "GET", path: "/orders?page=1&page=2", status: 422, kind: "invalid", words: "query.page"},
	"too many at once":        {method: "GET", path: "/customers/c/orders?limit=101", status: 422, kind: "invalid", words: "query.limit"},
	"a list that nobody made": {method: "GET", path: "/orders", status: 503, kind: "list-not-built", words: "order-view"},
	"a bad escape":            {method: "GET", path: "/orders/PENDING?a=%zz", status: 400, kind: "unreadable"},
	"an empty header":         {method: "POST", path: "/orders", body: basket, headers: []string{"Idempotency-Key", ""}, status: 422, kind: "invalid", words: "header.Idempotency-Key"},
	"a header twice":          {method: "POST", path: "/orders", body: basket, headers: []string{"Idempotency-Key", "a", "Idempotency-Key", "b"}, status: 422, kind: "invalid", words: "header.Idempotency-Key"},
	"a key that is none":      {method: "POST", path: "/orders", body: basket, headers: []string{"Idempotency-Key", `"half`}, status: 422, kind: "invalid", words: "header.Idempotency-Key"},
	"a key that is long":      {method: "POST", path: "/orders", body: basket, headers: []string{"Idempotency-Key", strings.Repeat("k", 256)}, status: 422, kind: "invalid", words: "header.Idempotency-Key"},
	"a version that is none":  {method: "POST", path: "/orders/PENDING/payment", body: paid, headers: []string{"If-Match", "1"}, status: 422, kind: "invalid", words: "header.If-Match"},
	"a flow that is none":     {method: "POST", path: "/orders", body: basket, headers: []string{"X-Correlation-ID", "a b"}, status: 422, kind: "invalid", words: "header.X-Correlation-ID"},

	"another version":      {method: "POST", path: "/orders/PENDING/payment", body: paid, headers: []string{"If-Match", `"2", W/"1"`}, status: 412, kind: "other-version", words: "version 1"},
	"a payment of less":    {method: "POST", path: "/orders/PENDING/payment", body: `{"amount":98.99,"transactionId":"t"}`, status: 409, kind: "rule-broken", words: "an order is paid in full"},
	"a payment by card":    {method: "POST", path: "/orders/AUTOMATIC/payment", body: paid, status: 409, kind: "rule-broken", words: "an order is paid by hand only if it was created so"},
	"a shipment too early": {method: "POST", path: "/orders/PENDING/shipment", body: shipped, status: 409, kind: "rule-broken", words: "an order is shipped only when it is paid or processing"},
	"a delivery too early": {method: "POST", path: "/orders/PENDING/delivery", status: 409, kind: "rule-broken", words: "an order is delivered only when it is shipped"},
	"a second thought":     {method: "POST", path: "/orders/SHIPPED/cancellation", status: 409, kind: "rule-broken", words: "an order is cancelled only before it is shipped, and once"},
}

// with adds a member to an order.
func with(member string) string { return strings.TrimSuffix(basket, "}") + "," + member + "}" }

func line(members string) string {
	return `{"customerId":"c","items":[{"productId":"p",` + members + `}]}`
}

func items(n int) string {
	one := `{"productId":"p","quantity":1,"price":1}`
	return `{"customerId":"c","items":[` + strings.TrimSuffix(strings.Repeat(one+",", n), ",") + `]}`
}

// wide is a body that may be sent, of an order that is too large for an event.
func wide() string {
	one := `{"productId":"` + strings.Repeat("p", 256) + `","quantity":1000000000,"price":999999999.1}`
	return `{"customerId":"c","amount":1,"items":[` + strings.TrimSuffix(strings.Repeat(one+",", 199), ",") + `]}`
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		description := s.describe(t)
		pending, automatic := s.place(t), s.ask(t, "POST", "/orders", basket).must(t, 201).view(t).OrderID
		left := s.place(t)
		s.ask(t, "POST", "/orders/"+left+"/payment", paid).must(t, 200)
		s.ask(t, "POST", "/orders/"+left+"/shipment", shipped).must(t, 200)
		names := strings.NewReplacer("PENDING", pending, "AUTOMATIC", automatic, "SHIPPED", left)
		for name, test := range refusals {
			t.Run(name, func(t *testing.T) {
				got := s.ask(t, test.method, names.Replace(test.path), test.body, test.headers...).must(t, test.status)
				requireProblem(t, got, test.kind, test.words)
				if test.status != 404 && test.status != 405 {
					description.requireStatus(t, test.method, test.path, test.status)
				}
			})
		}
		for id, version := range map[string]int{pending: 1, automatic: 1, left: 3} {
			if got := s.ask(t, "GET", "/orders/"+id, "").view(t).Version; got != version {
				t.Errorf("order %s has version %d, want %d: it was changed", id, got, version)
			}
		}
	})
}

// requireProblem checks that an answer is a problem as RFC 9457 wants it, and quotes no values.
func requireProblem(t *testing.T, got answer, kind, words string) {
	t.Helper()
	var p struct {
		Type, Title, Detail, Instance string
		Status                        int
		Errors                        []struct{ Location, Message string }
	}
	if err := json.Unmarshal([]byte(got.body), &p, json.MatchCaseInsensitiveNames(true), json.RejectUnknownMembers(true)); err != nil {
		t.Fatalf("%s: %v", got.body, err)
	}
	if kind != "" {
		kind = problems + kind
	}
	if p.Type != kind || p.Title == "" || p.Status != got.status || p.Instance != "urn:uuid:"+got.header.Get("X-Request-ID") {
		t.Errorf("got %s, want type %q", got.body, kind)
	}
	if !strings.Contains(got.body, words) || strings.Contains(strings.ReplaceAll(got.body, ".secret", ""), "secret") {
		t.Errorf("got %s, want %q and no value", got.body, words)
	}
	for header, want := range map[string]string{
		"Content-Type": "application/problem+json", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
	} {
		if got.header.Get(header) != want {
			t.Errorf("%s is %q, want %q", header, got.header.Get(header), want)
		}
	}
}

func TestHeadersOfRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	if got := s.ask(t, "PUT", "/orders", "").must(t, 405).header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow: %s", got)
	}
	if got := s.ask(t, "POST", "/orders", "x", "Content-Type", "text/plain").must(t, 415).header.Get("Accept"); got != "application/json" {
		t.Errorf("Accept: %s", got)
	}
	if got := s.ask(t, "GET", "/orders//x", "").must(t, 404).header.Get("Location"); got != "" {
		t.Errorf("Location: %s", got)
	}
}

// Content types and Accept headers as clients send them.
func TestWhatIsTaken(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	for _, header := range [][]string{
		{"Content-Type", "application/json; charset=UTF-8"},
		{"Accept", "application/problem+json"},
		{"Accept", "text/html,application/xhtml+xml,*/*;q=0.8"},
		{"Accept", "application/*;q=0.001"},
		{"Accept", ""},
		{"Accept", "text/html", "Accept", "application/json"},
	} {
		got := s.ask(t, "POST", "/orders", basket, header...)
		if got.status != 201 || got.header.Get("Content-Type") != "application/json" {
			t.Errorf("%q: %d %s", header, got.status, got.body)
		}
	}
}

func TestABodyThatDoesNotCome(t *testing.T) {
	t.Parallel()
	handler, err := orderapi.Service.New(onSQLite(t).lookup)
	if err != nil {
		t.Fatal(err)
	}
	defer handler.(io.Closer).Close()
	server := httptest.NewUnstartedServer(handler)
	server.Config.ReadTimeout = 100 * time.Millisecond
	server.Start()
	defer server.Close()
	for rest, want := range map[string]int{
		"Content-Length: 100\r\n\r\n{":             408,
		"Transfer-Encoding: chunked\r\n\r\nno\r\n": 400,
	} {
		connection, err := net.Dial("tcp", server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer connection.Close()
		io.WriteString(connection, "POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"+rest)
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != want || response.Header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("got %d %v, want %d", response.StatusCode, response.Header, want)
		}
	}
}

// A database that goes away is nobody's mistake: try again.
func TestTheDatabaseIsDown(t *testing.T) {
	t.Parallel()
	own := postgres.Start(t)
	s := start(t, environment{"DATABASE": "postgres", "DATABASE_URL": own.Database(t)})
	description, id := s.describe(t), s.place(t)
	own.Kill()
	for _, path := range []string{"/orders/" + id + "/payment", "/orders"} {
		body := map[bool]string{true: byHand, false: paid}[path == "/orders"]
		got := s.ask(t, "POST", path, body, "Idempotency-Key", strconv.Quote(path)).must(t, 503)
		requireProblem(t, got, "unavailable", "Repeat the request")
		if got.header.Get("Retry-After") != "1" {
			t.Errorf("Retry-After: %q", got.header.Get("Retry-After"))
		}
		description.requireStatus(t, "POST", path, 503)
	}
	requireProblem(t, s.ask(t, "GET", "/orders/"+id, "").must(t, 503), "unavailable", "")
	own.Restart(t)
	s.ask(t, "POST", "/orders/"+id+"/payment", paid, "Idempotency-Key", strconv.Quote("/orders/"+id+"/payment")).must(t, 200)
}

// What nobody expected is told to the log, not to the client.
func TestAnOrderThatCannotBeRead(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	store := s.environment.open(t)
	odd := eventstore.Write{Stream: orderstore.Stream("odd"), Events: []event.Event{cloudeventstest.Event(t, "secret", nil)}}
	if _, err := store.Events().Append(t.Context(), odd); err != nil {
		t.Fatal(err)
	}
	requireProblem(t, s.ask(t, "GET", "/orders/odd", "").must(t, 500), "", "log of the service")
	requireProblem(t, s.ask(t, "POST", "/orders/odd/cancellation", "").must(t, 500), "", "log of the service")
}
