package webhook

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const alert = `{"type":"notification.sms","timestamp":"2026-11-23T08:00:00Z",` +
	`"data":{"notificationId":"n-1","recipient":"customer-7","template":"payment_confirmation","subject":"Paid","text":"Thank you"}}`

func start(t *testing.T, secret Secret, o Options) *Receiver {
	t.Helper()
	o.Addr = "127.0.0.1:0"
	r, err := Start(secret, &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// signed returns a request that is right in every way.
func signed(t *testing.T, r *Receiver, body string) *http.Request {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL(), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json; charset=utf-8")
	sign(t, request, r.secret, time.Now(), body)
	return request
}

func sign(t *testing.T, request *http.Request, secret Secret, at time.Time, body string) {
	t.Helper()
	signature, err := secret.sign("msg-1", at.Unix(), []byte(body))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set(headerID, "msg-1")
	request.Header.Set(headerTimestamp, strconv.FormatInt(at.Unix(), 10))
	request.Header.Set(headerSignature, signature)
}

func status(t *testing.T, request *http.Request) int {
	t.Helper()
	request.Close = true
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	answer, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

func TestAMessageIsReceived(t *testing.T) {
	t.Parallel()
	var told []Message
	r := start(t, NewSecret(), Options{Received: func(m Message) { told = append(told, m) }})
	if got := status(t, signed(t, r, alert)); got != http.StatusNoContent {
		t.Fatalf("status %d, want 204", got)
	}
	all := r.Messages()
	if len(all) != 1 || len(told) != 1 {
		t.Fatalf("%d messages are kept and %d told of, want one", len(all), len(told))
	}
	m := all[0]
	if m.ID != "msg-1" || m.Type != "notification.sms" || m.Recipient != "customer-7" || m.Subject != "Paid" ||
		m.Text != "Thank you" || string(m.Body) != alert || m.Received.IsZero() {
		t.Errorf("got %+v", m)
	}
}

func TestWhatIsNotRightIsRefused(t *testing.T) {
	t.Parallel()
	r := start(t, NewSecret(), Options{})
	header := func(name, value string) func(*http.Request) {
		return func(q *http.Request) { q.Header.Set(name, value) }
	}
	for name, test := range map[string]struct {
		body   string
		change func(*http.Request)
		want   int
	}{
		"another secret":       {alert, func(q *http.Request) { sign(t, q, NewSecret(), time.Now(), alert) }, 401},
		"another body":         {alert, func(q *http.Request) { sign(t, q, r.secret, time.Now(), alert+" ") }, 401},
		"another id":           {alert, header(headerID, "msg-2"), 401},
		"no id":                {alert, header(headerID, ""), 401},
		"two ids":              {alert, func(q *http.Request) { q.Header.Add(headerID, "msg-1") }, 401},
		"no signature":         {alert, header(headerSignature, " "), 401},
		"signature of v2":      {alert, header(headerSignature, "v2,AAAA"), 401},
		"old":                  {alert, func(q *http.Request) { sign(t, q, r.secret, time.Now().Add(-6*time.Minute), alert) }, 401},
		"from the future":      {alert, func(q *http.Request) { sign(t, q, r.secret, time.Now().Add(6*time.Minute), alert) }, 401},
		"time that is none":    {alert, header(headerTimestamp, "now"), 401},
		"text":                 {alert, header("Content-Type", "text/plain"), 415},
		"no content type":      {alert, header("Content-Type", ""), 415},
		"GET":                  {alert, func(q *http.Request) { q.Method = http.MethodGet }, 405},
		"another path":         {alert, func(q *http.Request) { q.URL.Path = "/" }, 404},
		"another host":         {alert, func(q *http.Request) { q.Host = "evil.example" }, 421},
		"a host that looks so": {alert, func(q *http.Request) { q.Host = "localhost.evil.example" }, 421},
		"not JSON":             {"hello", nil, 400},
		"no type":              {"{}", nil, 400},
		"type stands twice":    {`{"type":"a","type":"b"}`, nil, 400},
		"too large":            {strings.Repeat(" ", maxBody+1), nil, 413},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			request := signed(t, r, test.body)
			if test.change != nil {
				test.change(request)
			}
			if got := status(t, request); got != test.want {
				t.Errorf("status %d, want %d", got, test.want)
			}
		})
	}
	t.Cleanup(func() {
		if n := len(r.Messages()); n != 0 {
			t.Errorf("%d messages were kept", n)
		}
	})
}

func TestOneOfSeveralSignaturesIsEnough(t *testing.T) {
	t.Parallel()
	r := start(t, NewSecret(), Options{})
	request := signed(t, r, alert)
	request.Header.Set(headerSignature, "v1,AAAA "+request.Header.Get(headerSignature))
	if got := status(t, request); got != http.StatusNoContent {
		t.Errorf("status %d, want 204", got)
	}
}

func TestTheZeroSecretAcceptsNothing(t *testing.T) {
	t.Parallel()
	r := start(t, Secret{}, Options{})
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, r.URL(), strings.NewReader(alert))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	sign(t, request, NewSecret(), time.Now(), alert)
	request.Header.Set(headerSignature, "a  b")
	if got := status(t, request); got != http.StatusUnauthorized {
		t.Errorf("status %d, want 401", got)
	}
}

func TestSignatureOfTheSpecification(t *testing.T) {
	t.Parallel()
	secret := Secret{config.NewSecret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")}
	got, err := secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, []byte(`{"test": 2432232314}`))
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; err != nil || got != want {
		t.Errorf("got %s, %v; want %s", got, err, want)
	}
}

func TestSecretsDifferAndDoNotPrint(t *testing.T) {
	t.Parallel()
	a, b := NewSecret(), NewSecret()
	if a.Reveal() == b.Reveal() {
		t.Error("two new secrets are the same")
	}
	if text := fmt.Sprintf("%v %+v %#v %s", a, a, a, a); strings.Contains(text, strings.TrimPrefix(a.Reveal(), "whsec_")) {
		t.Errorf("a secret prints itself: %s", text)
	}
}

func TestTheLastThousandAreKept(t *testing.T) {
	t.Parallel()
	r := &Receiver{}
	for i := range maxMessages + 5 {
		r.keep(Message{ID: strconv.Itoa(i)})
	}
	all := r.Messages()
	if len(all) != maxMessages || all[0].ID != "5" {
		t.Errorf("%d are kept from %s on, want %d from 5 on", len(all), all[0].ID, maxMessages)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	if _, err := Start(NewSecret(), &Options{Addr: taken.Addr().String()}); err == nil || !strings.Contains(err.Error(), taken.Addr().String()) {
		t.Errorf("got %v, want an error that names the address", err)
	}
}

func TestCloseCutsOffASlowSender(t *testing.T) {
	t.Parallel()
	r, err := Start(NewSecret(), &Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	var dialer net.Dialer
	conn, err := dialer.DialContext(context.Background(), "tcp", strings.TrimPrefix(strings.TrimSuffix(r.URL(), path), "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{", path)
	begin := time.Now()
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if took := time.Since(begin); took > 2*shutdownWithin {
		t.Errorf("it took %s", took)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(alert))
	f.Add([]byte(`{"type":1}`))
	f.Add([]byte(`[[[[`))
	f.Fuzz(func(t *testing.T, body []byte) {
		m, err := parse(body)
		if err == nil && (m.Type == "" || !bytes.Equal(m.Body, body)) {
			t.Errorf("accepted as %+v", m)
		}
	})
}
