// Package smtptest runs a real SMTP server inside a test. It never ships.
package smtptest

import (
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// Mail is one mail that the server took.
type Mail struct {
	From string
	To   []string
	Data string
}

// Options are what a server can be told. The zero value holds the defaults.
type Options struct {
	// Addr is where it listens. Default: a free port of 127.0.0.1.
	Addr string
	// TLS is the server's certificate; with Implicit it speaks TLS from the first byte, else it offers STARTTLS.
	TLS      *tls.Config
	Implicit bool
	// Password is what the user "shop" signs in with; empty: no sign-in is offered.
	Password string
	// Answer is asked before each command ("MAIL", "RCPT", "DATA") is carried out; its error is the answer. It may block
	// or close the connection.
	Answer func(command string, c *smtp.Conn) error
}

// Server catches mail.
type Server struct {
	Addr string

	server   *smtp.Server
	listener net.Listener
	answer   func(string, *smtp.Conn) error
	secret   string

	mu       sync.Mutex
	mails    []Mail
	sessions int
	open     int
}

// Start runs a server until the test ends.
func Start(t testing.TB, opts *Options) *Server {
	t.Helper()
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", o.Addr)
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Addr: listener.Addr().String(), listener: listener, answer: o.Answer, secret: o.Password}
	s.server = smtp.NewServer(smtp.BackendFunc(s.newSession))
	s.server.Domain = "mail.test"
	s.server.TLSConfig = o.TLS
	s.server.MaxMessageBytes = 1 << 20
	s.server.ErrorLog = log.New(io.Discard, "", 0)
	if o.Implicit {
		listener = tls.NewListener(listener, o.TLS)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = s.server.Serve(listener)
	}()
	t.Cleanup(func() {
		s.Stop()
		<-served
	})
	return s
}

// Stop ends the server and cuts its connections.
func (s *Server) Stop() {
	_ = s.server.Close()
	_ = s.listener.Close() // The server does not know it before it serves.
}

// Mails returns the mail that was taken.
func (s *Server) Mails() []Mail {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.mails)
}

// Sessions returns how many connections there were, and how many are open.
func (s *Server) Sessions() (all, open int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions, s.open
}

func (s *Server) newSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	s.open++
	plain := &session{server: s, conn: c}
	if s.secret == "" {
		return plain, nil
	}
	return &authSession{session: plain}, nil
}

type session struct {
	server *Server
	conn   *smtp.Conn
	mail   Mail
}

func (s *session) asked(command string) error {
	if s.server.answer == nil {
		return nil
	}
	return s.server.answer(command, s.conn)
}

func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if s.mail.From != "" {
		return &smtp.SMTPError{Code: 503, Message: "nested MAIL"} // RFC 5321 §4.1.4
	}
	s.mail.From = from
	return s.asked("MAIL")
}

func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	s.mail.To = append(s.mail.To, to)
	return s.asked("RCPT")
}

func (s *session) Data(r io.Reader) error {
	data, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if err := s.asked("DATA"); err != nil {
		return err
	}
	s.mail.Data = string(data)
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.mails = append(s.server.mails, s.mail)
	return nil
}

func (s *session) Reset() { s.mail = Mail{} }

func (s *session) Logout() error {
	s.server.mu.Lock()
	defer s.server.mu.Unlock()
	s.server.open--
	return nil
}

// authSession takes mail only after a sign-in.
type authSession struct {
	*session
	signedIn bool
}

func (*authSession) AuthMechanisms() []string { return []string{sasl.Plain} }

func (s *authSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, username, password string) error {
		if username != "shop" || password != s.server.secret {
			return errors.New("no such account")
		}
		s.signedIn = true
		return nil
	}), nil
}

func (s *authSession) Mail(from string, opts *smtp.MailOptions) error {
	if !s.signedIn {
		return smtp.ErrAuthRequired
	}
	return s.session.Mail(from, opts)
}
