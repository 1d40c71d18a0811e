package foreign_test

import (
	"fmt"
	"io"
	"mime"
	"net"
	"net/mail"
	"regexp"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/emersion/go-smtp"
)

// TestMailServerDownThenUp asks for emails while nobody listens at the mail server's address, then while somebody hangs
// up on each caller, and then lets them through.
func TestMailServerDownThenUp(t *testing.T) {
	t.Parallel()
	needs(t, "kcat")
	office := postOffice{address: "127.0.0.1:" + freePorts(t, 1)[0]}
	m := start(t, nil, []string{"SMTP_ADDR=" + office.address, "SMTP_TLS=none", "BREAKER_RECOVERY_TIMEOUT=200ms"})

	const mails = 20
	for i := range mails {
		created := facts[0]
		created.aggregate = fmt.Sprintf("order-%d", i)
		created.data = fmt.Sprintf(`{"orderId":%q,"customerId":"customer-1","amount":10}`, created.aggregate)
		sendEnvelope(t, m, &created, "event-"+created.aggregate, "flow")
	}
	requested := m.awaitRequested(t, mails)
	office.hangUp(t)
	office.open(t)

	m.awaitSent(t, mails)
	if len(requested) != mails {
		t.Errorf("%d notifications were asked for, want %d", len(requested), mails)
	}
	if dead := m.read(t, "dead-letter-queue"); len(dead) != 0 {
		t.Errorf("%d dead letters because of a mail server that was down", len(dead))
	}
	if got, want := office.orders(), order(requested); !slices.Equal(got, want) {
		t.Errorf("mails of one customer came as\n%v, want the order in which they were asked for:\n%v", got, want)
	}
}

var orderID = regexp.MustCompile(`order-\d+`)

// order lists the orders that notifications are about.
func order(notifications []notification) []string {
	var ids []string
	for _, n := range notifications {
		ids = append(ids, orderID.FindString(n.subject))
	}
	return ids
}

// postOffice is a mail server that comes and goes.
type postOffice struct {
	address string

	mu       sync.Mutex
	subjects []string
}

// hangUp closes each connection at once, until more callers came than a record has attempts.
func (p *postOffice) hangUp(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	var callers atomic.Int64
	go func() {
		for {
			caller, err := listener.Accept()
			if err != nil {
				return
			}
			callers.Add(1)
			_ = caller.Close()
		}
	}()
	eventually(t, "calls at the mail server", func() bool { return callers.Load() > 5 })
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
}

// open takes mail until the test ends.
func (p *postOffice) open(t *testing.T) {
	t.Helper()
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &session{office: p}, nil }))
	server.Domain = "localhost"
	listener, err := net.Listen("tcp", p.address)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }() // ends with an error when the test closes it
	t.Cleanup(func() { _ = server.Close() })
}

// orders lists the orders that mails were about, as they came, repeats left out.
func (p *postOffice) orders() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var ids []string
	for _, subject := range p.subjects {
		if id := orderID.FindString(subject); !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}

// session is a conversation with one caller. It takes everything.
type session struct{ office *postOffice }

func (*session) Mail(string, *smtp.MailOptions) error { return nil }
func (*session) Rcpt(string, *smtp.RcptOptions) error { return nil }
func (*session) Reset()                               {}
func (*session) Logout() error                        { return nil }

func (s *session) Data(r io.Reader) error {
	message, err := mail.ReadMessage(r)
	if err != nil {
		return err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return err
	}
	s.office.mu.Lock()
	defer s.office.mu.Unlock()
	s.office.subjects = append(s.office.subjects, subject)
	return nil
}
