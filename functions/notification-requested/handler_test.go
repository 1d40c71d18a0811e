package notificationrequested_test

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"net/http/httptest"
	"net/mail"
	"strings"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/emersion/go-smtp"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/schemas"
	notificationrequested "github.com/millrace/millrace/functions/notification-requested"
	"github.com/millrace/millrace/functions/notification-requested/internal/smtptest"
	"github.com/millrace/millrace/runtime/function"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// bundle is a handler between a real mail server and a real receiver of webhooks.
type bundle struct {
	handler function.Handler
	smtp    *smtptest.Server
	posts   chan post
}

type post struct {
	header http.Header
	body   string
}

func setup(t testing.TB, smtpOptions *smtptest.Options) *bundle {
	t.Helper()
	b := &bundle{smtp: smtptest.Start(t, smtpOptions), posts: make(chan post, 10)}
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		b.posts <- post{r.Header, string(body)}
	}))
	t.Cleanup(hook.Close)
	b.handler = newHandler(t, map[string]string{
		"SMTP_ADDR": b.smtp.Addr, "SMTP_TLS": "none", "NOTIFY_WEBHOOK_URL": hook.URL, "NOTIFY_WEBHOOK_SECRET": secret,
	})
	return b
}

func lookup(environment map[string]string) function.Lookup {
	return func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}
}

func newHandler(t testing.TB, environment map[string]string) function.Handler {
	t.Helper()
	handler, err := notificationrequested.Spec.New(lookup(environment))
	if err != nil {
		t.Fatal(err)
	}
	return handler
}

// requested returns a request, with the fields of data as JSON.
func requested(channel, recipient, template, data string) event.Event {
	e := event.New()
	e.SetID("notif-1")
	e.SetSource("/notification-service")
	e.SetType(notification.RequestedType)
	e.SetSubject("notification-12345")
	e.SetTime(time.Date(2023, 12, 1, 10, 0, 0, 0, time.UTC))
	e.SetExtension(function.CorrelationID, "req-789")
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = fmt.Appendf(nil, `{"type":%q,"recipient":%q,"template":%q,"data":%s}`, channel, recipient, template, data)
	return e
}

const orderData = `{"orderId":"12345","amount":99.90,"orderDate":"2023-12-01T10:00:00Z"}`

func TestEmail(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	in := requested("email", "customer-789", "order_confirmation", orderData)
	out, err := b.handler.Handle(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	mails := b.smtp.Mails()
	if len(mails) != 1 || mails[0].To[0] != "customer-789@customers.millrace.example" || mails[0].From != "shop@millrace.example" {
		t.Fatalf("got %+v", mails)
	}
	m, err := mail.ReadMessage(strings.NewReader(mails[0].Data))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"From":           `"Millrace Shop" <shop@millrace.example>`,
		"To":             "<customer-789@customers.millrace.example>",
		"Subject":        "Your order 12345 is confirmed",
		"Message-Id":     "<notif-1@millrace.example>",
		"Date":           "Fri, 01 Dec 2023 10:00:00 +0000",
		"Auto-Submitted": "auto-generated",
	}
	for name, value := range want {
		if got := m.Header.Get(name); got != value {
			t.Errorf("%s is %q, want %q", name, got, value)
		}
	}
	kind, _, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/alternative" {
		t.Errorf("content type %s, %v", kind, err)
	}
	for _, part := range []string{"Total: 99.90 USD", "<strong>99.90 USD</strong>", "text/plain", "text/html"} {
		if !strings.Contains(mails[0].Data, part) {
			t.Errorf("the mail lacks %q:\n%s", part, mails[0].Data)
		}
	}
	wantReceipts(t, in, out, notification.EmailSentType, "<notif-1@millrace.example>")
}

func TestTextMessageAndAlert(t *testing.T) {
	t.Parallel()
	tests := []struct{ channel, recipient, template, data, fact, body string }{
		{
			"sms", "customer-789", "payment_confirmation",
			`{"orderId":"12345","paymentMethod":"credit_card","paidAt":"2023-12-01T10:00:00Z"}`, notification.SmsSentType,
			`{"type":"notification.sms","timestamp":"2023-12-01T10:00:00Z","data":{"notificationId":"notif-1",` +
				`"recipient":"customer-789","template":"payment_confirmation","subject":"We received your payment for order 12345",` +
				`"text":"Millrace Shop: we received your payment for order 12345 by credit_card on 1 December 2023, 10:00 UTC. Thank you!\n",` +
				`"data":{"orderId":"12345","paymentMethod":"credit_card","paidAt":"2023-12-01T10:00:00Z"}}}`,
		},
		{
			"admin_alert", "", "product_out_of_stock", `{"productId":"prod-456","productName":"Kettle"}`, notification.AdminAlertedType,
			`{"type":"notification.admin_alert","timestamp":"2023-12-01T10:00:00Z","data":{"notificationId":"notif-1",` +
				`"template":"product_out_of_stock","subject":"Out of stock: Kettle","text":"Kettle (prod-456) is out of stock.\n",` +
				`"data":{"productId":"prod-456","productName":"Kettle"}}}`,
		},
	}
	for _, test := range tests {
		t.Run(test.channel, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			in := requested(test.channel, test.recipient, test.template, test.data)
			out, err := b.handler.Handle(t.Context(), in)
			if err != nil {
				t.Fatal(err)
			}
			got := <-b.posts
			if diff := cmp.Diff(test.body, got.body); diff != "" {
				t.Error(diff)
			}
			if got.header.Get("Webhook-Id") != "notif-1" || !strings.HasPrefix(got.header.Get("Webhook-Signature"), "v1,") {
				t.Errorf("got %v", got.header)
			}
			wantReceipts(t, in, out, test.fact, "notif-1")
		})
	}
}

// wantReceipts checks the two events that say how a delivery went.
func wantReceipts(t *testing.T, in event.Event, out []event.Event, fact, provider string) {
	t.Helper()
	spec := notificationrequested.Spec
	function.Stamp(&spec, in, out, time.Date(2023, 12, 1, 10, 0, 1, 0, time.UTC))
	if len(out) != 2 || out[0].Type() != fact || out[1].Type() != notification.SentType {
		t.Fatalf("got %v", out)
	}
	var wanted notification.Requested
	if err := json.Unmarshal(in.Data(), &wanted); err != nil {
		t.Fatal(err)
	}
	key := wanted.Recipient
	if key == "" {
		key = "notification-12345"
	}
	for i, e := range out {
		if err := schemas.Validate(e.Type(), e.Data()); err != nil {
			t.Error(err)
		}
		var d notification.Delivery
		if err := json.Unmarshal(e.Data(), &d); err != nil {
			t.Fatal(err)
		}
		if time.Since(d.SentAt).Abs() > time.Minute {
			t.Errorf("sent at %s", d.SentAt)
		}
		d.SentAt = time.Time{}
		want := notification.Delivery{
			NotificationID: "notif-1", Channel: wanted.Channel, Recipient: wanted.Recipient, Template: wanted.Template,
			ProviderMessageID: provider,
		}
		if diff := cmp.Diff(want, d); diff != "" {
			t.Error(diff)
		}
		attributes := []string{e.ID(), e.Source(), e.Subject()}
		attributes = append(attributes, fmt.Sprint(e.Extensions()[function.PartitionKey]),
			fmt.Sprint(e.Extensions()[function.CorrelationID]), fmt.Sprint(e.Extensions()[function.CausationID]))
		id := function.EmittedID("notification-requested", "/notification-service", "notif-1", i)
		if diff := cmp.Diff([]string{id, "/notification-service", "notification-12345", key, "req-789", "notif-1"}, attributes); diff != "" {
			t.Error(diff)
		}
	}
}

// A redelivery sends the same mail: to whoever compares Message-IDs it is one.
func TestRedelivery(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	in := requested("email", "customer-789", "order_confirmation", orderData)
	for range 2 {
		if _, err := b.handler.Handle(t.Context(), in); err != nil {
			t.Fatal(err)
		}
	}
	mails := b.smtp.Mails()
	if len(mails) != 2 {
		t.Fatalf("%d mails, want 2", len(mails))
	}
	headers := func(data string) string {
		head, _, _ := strings.Cut(data, "\r\nContent-Type")
		return head
	}
	if diff := cmp.Diff(headers(mails[0].Data), headers(mails[1].Data)); diff != "" {
		t.Error(diff)
	}
}

// Ids that would change the meaning of a header are hashed.
func TestForeignIDs(t *testing.T) {
	t.Parallel()
	for _, id := range []string{"a.b", "x>\r\nBcc: eve@evil.example", "ä", strings.Repeat("x", 65), "a b"} {
		b := setup(t, nil)
		in := requested("sms", "customer-789", "payment_confirmation", `{}`)
		in.SetID(id)
		if _, err := b.handler.Handle(t.Context(), in); err != nil {
			t.Fatal(err)
		}
		if got := (<-b.posts).header.Get("Webhook-Id"); len(got) != 64 || strings.ContainsAny(got, ". ") {
			t.Errorf("%q: got %q", id, got)
		}
	}
}

// An id that no receipt could name is refused before anything is delivered.
func TestLongID(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	in := requested("email", "customer-789", "order_confirmation", orderData)
	in.SetID(strings.Repeat("ä", 256))
	if _, err := b.handler.Handle(t.Context(), in); err != nil {
		t.Error(err)
	}
	in.SetID(strings.Repeat("ä", 257))
	if _, err := b.handler.Handle(t.Context(), in); function.VerdictOf(err) != function.DeadLetter {
		t.Errorf("got %v, want a permanent error", err)
	}
	if n := len(b.smtp.Mails()); n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
}

func TestPermanent(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, channel, recipient, template, data, want string }{
		{"template", "email", "customer-789", "lottery", `{}`, `unknown template "lottery"`},
		{"channel", "fax", "customer-789", "welcome", `{}`, `unknown channel "fax"`},
		{"nobody", "email", "", "welcome", `{}`, "names no recipient"},
		{"nobody, sms", "sms", "", "welcome", `{}`, "names no recipient"},
		{"data", "email", "customer-789", "welcome", `[1]`, "must be null or object"},
		{"command", "email", `a@b>\r\nDATA`, "welcome", `{}`, "control characters"},
		{"parameters", "email", `\"x@y> ORCPT=z\"@b`, "welcome", `{}`, "neither an address nor an id"},
		{"encoded name", "email", "=?utf-8?q?=0d=0aBcc:_x@y?= <ann@shop.example>", "welcome", `{}`, "neither an address nor an id"},
		{"subject", "email", "customer-789", "order_confirmation", `{"orderId":"1\r\nBcc: eve@evil.example"}`, "control characters"},
		{"email", "email", "user-1", "welcome", `{"email":"ann@shop.example\r\nBcc: eve@evil.example"}`, "control characters"},
		{"sms line end", "sms", `+49\r\nX: y`, "payment_confirmation", `{}`, "control characters"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, nil)
			in := requested(test.channel, "", test.template, test.data)
			in.DataEncoded = fmt.Appendf(nil, `{"type":%q,"recipient":"%s","template":%q,"data":%s}`,
				test.channel, test.recipient, test.template, test.data)
			out, err := b.handler.Handle(t.Context(), in)
			if function.VerdictOf(err) != function.DeadLetter || !strings.Contains(err.Error(), test.want) || out != nil {
				t.Errorf("got %v, %v, want %q", out, err, test.want)
			}
			if strings.Contains(fmt.Sprint(err), "evil") {
				t.Errorf("the error shows the data: %v", err)
			}
			if len(b.smtp.Mails()) != 0 || len(b.posts) != 0 {
				t.Errorf("%d mails and %d posts, want none", len(b.smtp.Mails()), len(b.posts))
			}
		})
	}
}

// Hostile names that no rule refuses end as one harmless mail.
func TestHostileName(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	data := `{"firstName":"=?utf-8?q?=0d=0aBcc:_eve@evil.example?=","email":"ann@shop.example"}`
	if _, err := b.handler.Handle(t.Context(), requested("email", "user-1", "welcome", data)); err != nil {
		t.Fatal(err)
	}
	mails := b.smtp.Mails()
	if len(mails) != 1 || len(mails[0].To) != 1 || mails[0].To[0] != "ann@shop.example" {
		t.Fatalf("got %+v", mails)
	}
	m, err := mail.ReadMessage(strings.NewReader(mails[0].Data))
	if err != nil || m.Header.Get("Bcc") != "" {
		t.Errorf("a header was smuggled in: %v, %v", m, err)
	}
}

func TestOutcomesOfServers(t *testing.T) {
	t.Parallel()
	refuse := func(command string, code int) *smtptest.Options {
		return &smtptest.Options{Answer: func(c string, _ *smtp.Conn) error {
			if c != command {
				return nil
			}
			return &smtp.SMTPError{Code: code, Message: "no"}
		}}
	}
	in := requested("email", "customer-789", "order_confirmation", orderData)
	for verdict, options := range map[function.Verdict]*smtptest.Options{
		function.DeadLetter: refuse("RCPT", 550),
		function.Retry:      refuse("RCPT", 450),
		function.Broken:     refuse("MAIL", 421),
	} {
		if _, err := setup(t, options).handler.Handle(t.Context(), in); function.VerdictOf(err) != verdict {
			t.Errorf("got %v, want %s", err, verdict)
		}
	}
}

func TestMailServerDownThenUp(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.smtp.Stop()
	in := requested("email", "customer-789", "order_confirmation", orderData)
	if _, err := b.handler.Handle(t.Context(), in); function.VerdictOf(err) != function.Broken {
		t.Errorf("got %v, want unavailable", err)
	}
	again := smtptest.Start(t, &smtptest.Options{Addr: b.smtp.Addr})
	if _, err := b.handler.Handle(t.Context(), in); err != nil || len(again.Mails()) != 1 {
		t.Errorf("got %v and %d mails, want 1", err, len(again.Mails()))
	}
}

// The topic carries the function's own answers. They pass without an effect.
func TestOwnAnswersPassBy(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	if n := len(b.handler.Types()); n != 6 {
		t.Errorf("%d types are accepted, want the 6 of the topic: %v", n, b.handler.Types())
	}
	for _, kind := range append(notificationrequested.Spec.Emits, notification.FailedType) {
		e := requested("email", "customer-789", "order_confirmation", orderData)
		e.SetType(kind)
		if out, err := b.handler.Handle(t.Context(), e); out != nil || !errors.Is(err, function.ErrPassedBy) {
			t.Errorf("%s: got %v, %v", kind, out, err)
		}
	}
	if len(b.smtp.Mails()) != 0 || len(b.posts) != 0 {
		t.Error("something was delivered")
	}
}

func TestSettings(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		changed  map[string]string
		problems []string
	}{
		{"defaults", nil, nil},
		{"everything", map[string]string{
			"SMTP_ADDR": "mail.example:587", "SMTP_FROM": "shop@example.org", "SMTP_TLS": "implicit", "SMTP_USERNAME": "shop",
			"SMTP_PASSWORD": "canary", "SMTP_CONNECTIONS": "100", "NOTIFY_RECIPIENT_DOMAIN": "example.org",
			"NOTIFY_WEBHOOK_URL": "https://hooks.example/x", "NOTIFY_WEBHOOK_SECRET": secret + " " + secret,
			"NOTIFY_WEBHOOK_ALLOW_PRIVATE": "true",
		}, nil},
		{"no secret", map[string]string{"NOTIFY_WEBHOOK_SECRET": ""}, []string{"NOTIFY_WEBHOOK_SECRET is "}},
		{"bad secret", map[string]string{"NOTIFY_WEBHOOK_SECRET": "canary"}, []string{"NOTIFY_WEBHOOK_SECRET must be keys of whsec_ and base64"}},
		{"password alone", map[string]string{"SMTP_PASSWORD": "canary"}, []string{"SMTP_USERNAME and SMTP_PASSWORD must be set together"}},
		{"no CA file", map[string]string{"SMTP_CA_FILE": "testdata/none.pem"}, []string{"SMTP_CA_FILE must be a readable file"}},
		{"bad CA file", map[string]string{"SMTP_CA_FILE": "doc.go"}, []string{"SMTP_CA_FILE must be a PEM file"}},
		{"everything at once", map[string]string{
			"SMTP_ADDR": "mail.example", "SMTP_FROM": "Shop <a@b>, <c@d>", "SMTP_CONNECTIONS": "0", "SMTP_TLS": "tls",
			"NOTIFY_RECIPIENT_DOMAIN": "a@b", "NOTIFY_WEBHOOK_URL": "http://hooks.example/canary",
		}, []string{
			"SMTP_TLS must be one of starttls, implicit, none", "SMTP_CONNECTIONS must be", "SMTP_FROM must be one address",
			"SMTP_ADDR must be host:port", "NOTIFY_WEBHOOK_URL must be an https URL", "NOTIFY_RECIPIENT_DOMAIN must be a domain name",
		}},
		{"clear text to another machine", map[string]string{"SMTP_ADDR": "mail.example:25", "SMTP_TLS": "none"}, []string{"SMTP_ADDR must be on this machine"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			environment := map[string]string{"NOTIFY_WEBHOOK_SECRET": secret}
			maps.Copy(environment, test.changed)
			_, err := notificationrequested.Spec.New(lookup(environment))
			var lines []string
			if err != nil {
				lines = strings.Split(err.Error(), "\n")
			}
			if len(lines) != len(test.problems) {
				t.Fatalf("got %d problems, want %d:\n%v", len(lines), len(test.problems), err)
			}
			for i, want := range test.problems {
				if !strings.HasPrefix(lines[i], want) || strings.Contains(lines[i], "canary") {
					t.Errorf("got %q, want %q", lines[i], want)
				}
			}
		})
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	if _, err := notificationrequested.Spec.Complete(); err != nil {
		t.Error(err)
	}
}

// BenchmarkEmail measures emails from event to receipt, with a mail server in the same process.
func BenchmarkEmail(b *testing.B) {
	handler := setup(b, nil).handler
	in := requested("email", "customer-789", "order_confirmation", orderData)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if _, err := handler.Handle(b.Context(), in); err != nil {
				b.Fatal(err)
			}
		}
	})
}
