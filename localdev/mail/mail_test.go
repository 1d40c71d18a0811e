package mail_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	gomail "github.com/wneessen/go-mail"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/localdev/mail"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, o mail.Options) *mail.Server {
	t.Helper()
	o.Addr = "127.0.0.1:0"
	s, err := mail.Start(&o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func send(t *testing.T, s *mail.Server, subjects ...string) {
	t.Helper()
	addr, err := net.ResolveTCPAddr("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	client, err := gomail.NewClient("127.0.0.1", gomail.WithPort(addr.Port), gomail.WithTLSPolicy(gomail.NoTLS))
	if err != nil {
		t.Fatal(err)
	}
	var messages []*gomail.Msg
	for _, subject := range subjects {
		m := gomail.NewMsg()
		if err := errors.Join(m.From("shop@millrace.example"), m.To("customer-7@customers.example")); err != nil {
			t.Fatal(err)
		}
		m.Subject(subject)
		m.SetBodyString(gomail.TypeTextPlain, "Thank you – "+strings.Repeat("x", 100))
		m.AddAlternativeString(gomail.TypeTextHTML, "<p>Thank you</p>")
		messages = append(messages, m)
	}
	if err := client.DialAndSendWithContext(t.Context(), messages...); err != nil {
		t.Fatal(err)
	}
}

func subjects(s *mail.Server) []string {
	var list []string
	for _, m := range s.Messages() {
		list = append(list, m.Subject)
	}
	return list
}

func TestAMailIsCaught(t *testing.T) {
	t.Parallel()
	var told []mail.Message
	s := start(t, mail.Options{Received: func(m mail.Message) { told = append(told, m) }})
	send(t, s, "Bestellung bestätigt 🚚")
	all := s.Messages()
	if len(all) != 1 || len(told) != 1 {
		t.Fatalf("%d mails are kept and %d told of, want one", len(all), len(told))
	}
	m := all[0]
	if m.Received.IsZero() || m.Number != 1 || len(m.Raw) == 0 || m.Header.Get("Message-Id") == "" {
		t.Errorf("got %+v", m)
	}
	got := []string{m.From, strings.Join(m.To, ","), m.Subject, m.Text, m.HTML}
	want := []string{
		"shop@millrace.example", "customer-7@customers.example", "Bestellung bestätigt 🚚",
		"Thank you – " + strings.Repeat("x", 100), "<p>Thank you</p>",
	}
	for i := range got {
		if strings.TrimSpace(got[i]) != want[i] {
			t.Errorf("got %q, want %q", got[i], want[i])
		}
	}
}

func TestTheOldestGoFirst(t *testing.T) {
	t.Parallel()
	t.Run("by number", func(t *testing.T) {
		t.Parallel()
		s := start(t, mail.Options{MaxMessages: 2})
		send(t, s, "a", "b", "c")
		if diff := cmp.Diff([]string{"b", "c"}, subjects(s)); diff != "" {
			t.Error(diff)
		}
		if s.Received() != 3 {
			t.Errorf("%d received, want 3", s.Received())
		}
	})
	t.Run("by bytes", func(t *testing.T) {
		t.Parallel()
		s := start(t, mail.Options{MaxBytes: 1})
		send(t, s, "a", "b")
		if diff := cmp.Diff([]string{"b"}, subjects(s)); diff != "" {
			t.Errorf("the newest must stay: %s", diff)
		}
	})
}

func TestWait(t *testing.T) {
	t.Parallel()
	s := start(t, mail.Options{})
	var waiting sync.WaitGroup
	defer waiting.Wait()
	found := make(chan mail.Message, 1)
	waiting.Go(func() {
		m, err := s.Wait(t.Context(), func(m mail.Message) bool { return m.Subject == "second" })
		if err != nil {
			t.Error(err)
		}
		found <- m
	})
	send(t, s, "first", "second")
	if m := <-found; m.Number != 2 {
		t.Errorf("got mail %d, want 2", m.Number)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := s.Wait(ctx, func(mail.Message) bool { return false }); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the deadline", err)
	}
}

// talk sends lines and returns the code of the answer to each.
func talk(t *testing.T, s *mail.Server, lines ...string) []string {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answers := bufio.NewReader(conn)
	codes := []string{answer(answers)}
	for _, line := range lines {
		fmt.Fprintf(conn, "%s\r\n", line)
		codes = append(codes, answer(answers))
	}
	return codes
}

func answer(r *bufio.Reader) string {
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return "end"
		}
		if len(line) > 3 && line[3] == ' ' {
			return line[:3]
		}
	}
}

// deep is a body of parts within parts.
func deep(levels int) string {
	body := "\r\nhello"
	for i := range levels {
		body = fmt.Sprintf("Content-Type: multipart/mixed; boundary=b%[1]d\r\n\r\n--b%[1]d\r\n%[2]s\r\n--b%[1]d--\r\n", i, body)
	}
	return body
}

func TestWhatIsNoMailIsRefused(t *testing.T) {
	t.Parallel()
	const head = "From: a@example.com\r\nTo: b@example.com\r\nSubject: s\r\n"
	for name, data := range map[string]string{
		"no headers":             "hello",
		"no From":                "To: b@example.com\r\n\r\nhello",
		"header without colon":   head + "Nonsense\r\n\r\nhello",
		"two subjects":           head + "Subject: other\r\n\r\nhello",
		"two recipients fields":  head + "To: c@example.com\r\n\r\nhello",
		"recipient that is none": "From: a@example.com\r\nTo: nobody\r\n\r\nhello",
		"NUL":                    head + "\r\nhel\x00lo",
		"LF alone":               head + "\r\nhello\nworld",
		"CR alone":               head + "\r\nhello\rworld",
		"smuggled end":           head + "\r\nhello\n.\nMAIL FROM:<x@example.com>",
		"unknown encoding":       head + "Content-Transfer-Encoding: rot13\r\n\r\nhello",
		"broken base64":          head + "Content-Transfer-Encoding: base64\r\n\r\n!!!!",
		"broken content type":    head + "Content-Type: text/\r\n\r\nhello",
		"unknown charset":        "From: a@example.com\r\nSubject: =?klingon?q?x?=\r\n\r\nhello",
		"parts without end":      head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nhello",
		"too many parts":         head + "Content-Type: multipart/mixed; boundary=b\r\n\r\n" + strings.Repeat("--b\r\n\r\nx\r\n", 60) + "--b--",
		"parts too deep":         head + deep(8),
		"too large":              head + "\r\n" + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, mail.Options{MaxMessageBytes: 100_000})
			codes := talk(t, s, "EHLO test", "MAIL FROM:<a@example.com>", "RCPT TO:<b@example.com>", "DATA", data+"\r\n.")
			if want := []string{"220", "250", "250", "250", "354"}; !cmp.Equal(want, codes[:5]) {
				t.Fatalf("answers %v, want them to begin with %v", codes, want)
			}
			if last := codes[5]; last[0] != '5' {
				t.Errorf("the mail was answered with %s, want a refusal", last)
			}
			if n := len(s.Messages()); n != 0 {
				t.Errorf("%d mails were kept", n)
			}
		})
	}
}

func TestAddressesAreChecked(t *testing.T) {
	t.Parallel()
	s := start(t, mail.Options{})
	for line, want := range map[string]string{
		"RCPT TO:<b@example.com>":              "250",
		`RCPT TO:<"b c"@example.com>`:          "501",
		"RCPT TO:<b>":                          "501",
		"RCPT TO:<b@>":                         "501",
		"RCPT TO:<b@exa\x01mple.com>":          "501",
		"RCPT TO:<b@example.com> ORCPT=x":      "504",
		`RCPT TO:<"x@y> ORCPT=z"@example.com>`: "501",
	} {
		codes := talk(t, s, "EHLO test", "MAIL FROM:<a@example.com>", line)
		if got := codes[3]; got[0] != want[0] {
			t.Errorf("%q was answered with %s, want %s", line, got, want)
		}
	}
	if codes := talk(t, s, "EHLO test", "MAIL FROM:<nobody>"); codes[2][0] != '5' {
		t.Errorf("a sender that is no address was answered with %s", codes[2])
	}
	if codes := talk(t, s, "EHLO test", "MAIL FROM:<>"); codes[2] != "250" {
		t.Errorf("the empty sender was answered with %s", codes[2])
	}
}

func TestABrowserCannotSendMail(t *testing.T) {
	t.Parallel()
	s := start(t, mail.Options{})
	script := "HELO x\r\nMAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nFrom: a@example.com\r\n\r\nx\r\n.\r\n"
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+s.Addr(), strings.NewReader(script))
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	if answer, err := transport.RoundTrip(request); err == nil {
		answer.Body.Close()
		t.Errorf("the server speaks HTTP: %s", answer.Status)
	}
	if n := len(s.Messages()); n != 0 {
		t.Errorf("%d mails were kept", n)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	s := start(t, mail.Options{})
	if _, err := mail.Start(&mail.Options{Addr: s.Addr()}); err == nil || !strings.Contains(err.Error(), s.Addr()) {
		t.Errorf("got %v, want an error that names %s", err, s.Addr())
	}
}

func TestCloseEndsConnections(t *testing.T) {
	t.Parallel()
	s, err := mail.Start(&mail.Options{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	r := bufio.NewReader(conn)
	if code := answer(r); code != "220" {
		t.Fatalf("greeted with %s", code)
	}
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := conn.SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if got := answer(r); got != "end" {
		t.Errorf("after Close the connection said %s", got)
	}
}
