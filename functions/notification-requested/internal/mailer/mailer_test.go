package mailer_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/wneessen/go-mail"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/functions/notification-requested/internal/mailer"
	"github.com/millrace/millrace/functions/notification-requested/internal/smtptest"
	"github.com/millrace/millrace/runtime/function"
)

func TestMain(m *testing.M) {
	// The garbage collector closes forgotten connections: without it, tests see them.
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(1 << 30)
	goleak.VerifyTestMain(m)
}

func newMailer(t testing.TB, addr string, opts *mailer.Options) *mailer.Mailer {
	t.Helper()
	m, err := mailer.New(mailer.Server{Addr: addr, TLS: mailer.NoTLS}, opts)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func newMessage(t testing.TB, to string) *mail.Msg {
	t.Helper()
	m := mail.NewMsg()
	if err := errors.Join(m.From("shop@millrace.example"), m.To(to)); err != nil {
		t.Fatal(err)
	}
	m.Subject("Hello")
	m.SetBodyString(mail.TypeTextPlain, "Hello.\n.\nQUIT\n")
	return m
}

// eventually waits until done holds.
func eventually(t *testing.T, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("not within 10 s: %s", what)
		}
		select {
		case <-time.After(5 * time.Millisecond):
		case <-t.Context().Done():
		}
	}
}

func TestSend(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, nil)
	m := newMailer(t, server.Addr, nil)
	if err := m.Send(t.Context(), newMessage(t, "ann@shop.example")); err != nil {
		t.Fatal(err)
	}
	mails := server.Mails()
	if len(mails) != 1 || mails[0].From != "shop@millrace.example" || mails[0].To[0] != "ann@shop.example" {
		t.Fatalf("got %+v", mails)
	}
	if !strings.Contains(mails[0].Data, "Hello.\r\n.\r\nQUIT\r\n") {
		t.Errorf("the body changed on its way:\n%s", mails[0].Data)
	}
}

func TestConnectionsAreUsedAgainAndBounded(t *testing.T) {
	t.Parallel()
	var inside atomic.Int32
	server := smtptest.Start(t, &smtptest.Options{Answer: func(command string, _ *smtp.Conn) error {
		switch command {
		case "MAIL":
			if n := inside.Add(1); n > 3 {
				t.Errorf("%d mails at once, want at most 3", n)
			}
		case "DATA":
			inside.Add(-1)
		}
		return nil
	}})
	m := newMailer(t, server.Addr, &mailer.Options{Connections: 3})
	var all sync.WaitGroup
	for range 60 {
		all.Go(func() {
			if err := m.Send(t.Context(), newMessage(t, "ann@shop.example")); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := len(server.Mails()); n != 60 {
		t.Errorf("%d mails, want 60", n)
	}
	if sessions, _ := server.Sessions(); sessions > 3 {
		t.Errorf("%d connections, want at most 3", sessions)
	}
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, nil)
	m := newMailer(t, server.Addr, &mailer.Options{Idle: 20 * time.Millisecond})
	for range 2 { // Also a second time: the sweep starts again.
		if err := m.Send(t.Context(), newMessage(t, "ann@shop.example")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "no connection is open", func() bool {
			_, open := server.Sessions()
			return open == 0
		})
	}
	if sessions, _ := server.Sessions(); sessions != 2 {
		t.Errorf("%d connections, want 2", sessions)
	}
}

// Connections that became idle at different times are closed at different times.
func TestEveryIdleConnectionIsClosed(t *testing.T) {
	t.Parallel()
	release, reached := make(chan struct{}), make(chan struct{})
	var first atomic.Bool
	first.Store(true)
	server := smtptest.Start(t, &smtptest.Options{Answer: func(command string, _ *smtp.Conn) error {
		if command == "DATA" && first.CompareAndSwap(true, false) {
			close(reached)
			<-release
		}
		return nil
	}})
	m := newMailer(t, server.Addr, &mailer.Options{Idle: 50 * time.Millisecond})
	sent := make(chan error)
	go func() { sent <- m.Send(t.Context(), newMessage(t, "ann@shop.example")) }()
	<-reached
	if err := m.Send(t.Context(), newMessage(t, "bob@shop.example")); err != nil {
		t.Fatal(err)
	}
	<-time.After(25 * time.Millisecond)
	close(release)
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	eventually(t, "no connection is open", func() bool {
		all, open := server.Sessions()
		return all == 2 && open == 0
	})
}

func TestServerDownThenUp(t *testing.T) {
	t.Parallel()
	server := smtptest.Start(t, nil)
	m := newMailer(t, server.Addr, &mailer.Options{Connections: 1})
	if err := m.Send(t.Context(), newMessage(t, "ann@shop.example")); err != nil {
		t.Fatal(err)
	}
	server.Stop()
	wantUnavailable(t, m.Send(t.Context(), newMessage(t, "ann@shop.example")))
	err := m.Send(t.Context(), newMessage(t, "ann@shop.example"))
	wantUnavailable(t, err)
	if !strings.Contains(err.Error(), server.Addr) {
		t.Errorf("the error does not name the server: %v", err)
	}
	again := smtptest.Start(t, &smtptest.Options{Addr: server.Addr})
	if err := m.Send(t.Context(), newMessage(t, "ann@shop.example")); err != nil {
		t.Fatal(err)
	}
	if len(again.Mails()) != 1 {
		t.Errorf("%d mails, want 1", len(again.Mails()))
	}
}

// A connection that the server closed while it was idle is replaced without an error.
func TestStaleConnectionIsReplaced(t *testing.T) {
	t.Parallel()
	conns := make(chan *smtp.Conn, 1)
	server := smtptest.Start(t, &smtptest.Options{Answer: func(command string, c *smtp.Conn) error {
		if command == "MAIL" {
			conns <- c
		}
		return nil
	}})
	m := newMailer(t, server.Addr, nil)
	for range 3 {
		if err := m.Send(t.Context(), newMessage(t, "ann@shop.example")); err != nil {
			t.Fatal(err)
		}
		if err := (<-conns).Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(server.Mails()); n != 3 {
		t.Errorf("%d mails, want 3", n)
	}
}

func wantUnavailable(t *testing.T, err error) {
	t.Helper()
	var unavailable *function.UnavailableError
	if !errors.As(err, &unavailable) || unavailable.Dependency != "smtp" {
		t.Errorf("got %v, want unavailable smtp", err)
	}
}

func TestAnswers(t *testing.T) {
	t.Parallel()
	tests := []struct {
		command string
		code    int
		want    function.Verdict
	}{
		{"MAIL", 421, function.Broken},
		{"MAIL", 451, function.Broken},
		{"MAIL", 530, function.Broken},
		{"MAIL", 550, function.Broken},
		{"RCPT", 421, function.Broken},
		{"RCPT", 450, function.Retry},
		{"RCPT", 451, function.Retry},
		{"RCPT", 452, function.Retry},
		{"RCPT", 530, function.Broken},
		{"RCPT", 550, function.DeadLetter},
		{"RCPT", 553, function.DeadLetter},
		{"DATA", 421, function.Broken},
		{"DATA", 452, function.Retry},
		{"DATA", 454, function.Broken},
		{"DATA", 552, function.DeadLetter},
		{"DATA", 554, function.DeadLetter},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d to %s", test.code, test.command), func(t *testing.T) {
			t.Parallel()
			var refuse atomic.Bool
			refuse.Store(true)
			server := smtptest.Start(t, &smtptest.Options{Answer: func(command string, _ *smtp.Conn) error {
				if command != test.command || !refuse.Load() {
					return nil
				}
				return &smtp.SMTPError{Code: test.code, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "<ann@shop.example> no"}
			}})
			m := newMailer(t, server.Addr, nil)
			err := m.Send(t.Context(), newMessage(t, "ann@shop.example"))
			if got := function.VerdictOf(err); got != test.want {
				t.Errorf("verdict %s of %v, want %s", got, err, test.want)
			}
			if !strings.Contains(err.Error(), fmt.Sprintf("%d 5.1.1", test.code)) || strings.Contains(err.Error(), "ann@") {
				t.Errorf("the error must have the codes and not the address: %v", err)
			}
			refuse.Store(false)
			if err := m.Send(t.Context(), newMessage(t, "ann@shop.example")); err != nil {
				t.Errorf("the next mail: %v", err)
			}
			if n := len(server.Mails()); n != 1 {
				t.Errorf("%d mails, want 1", n)
			}
		})
	}
}

func TestLostConnection(t *testing.T) {
	t.Parallel()
	tests := []struct {
		command string
		want    function.Verdict
	}{
		{"MAIL", function.Broken},
		{"RCPT", function.Retry},
		{"DATA", function.Retry},
	}
	for _, test := range tests {
		t.Run(test.command, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, &smtptest.Options{Answer: func(command string, c *smtp.Conn) error {
				if command == test.command {
					return c.Close()
				}
				return nil
			}})
			err := newMailer(t, server.Addr, nil).Send(t.Context(), newMessage(t, "ann@shop.example"))
			if got := function.VerdictOf(err); got != test.want {
				t.Errorf("verdict %s of %v, want %s", got, err, test.want)
			}
		})
	}
}

func TestNoAnswerInTime(t *testing.T) {
	t.Parallel()
	tests := []struct {
		command string
		want    function.Verdict
	}{
		{"MAIL", function.Broken},
		{"RCPT", function.Broken},
		{"DATA", function.Retry}, // The server has the content: repetitions must come to an end.
	}
	for _, test := range tests {
		t.Run(test.command, func(t *testing.T) {
			t.Parallel()
			release := make(chan struct{})
			server := smtptest.Start(t, &smtptest.Options{Answer: func(command string, _ *smtp.Conn) error {
				if command == test.command {
					<-release
				}
				return nil
			}})
			m := newMailer(t, server.Addr, &mailer.Options{Timeout: 100 * time.Millisecond})
			err := m.Send(t.Context(), newMessage(t, "ann@shop.example"))
			if got := function.VerdictOf(err); got != test.want {
				t.Errorf("verdict %s of %v, want %s", got, err, test.want)
			}
			close(release)
			eventually(t, "the connection is closed", func() bool {
				_, open := server.Sessions()
				return open == 0
			})
		})
	}
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	release, reached := make(chan struct{}), make(chan struct{})
	defer close(release)
	server := smtptest.Start(t, &smtptest.Options{Answer: func(string, *smtp.Conn) error {
		close(reached)
		<-release
		return nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-reached
		cancel()
	}()
	err := newMailer(t, server.Addr, nil).Send(ctx, newMessage(t, "ann@shop.example"))
	if !errors.Is(err, context.Canceled) || function.VerdictOf(err) != function.Retry {
		t.Errorf("got %v, want a plain context.Canceled", err)
	}
}

func TestWaitingForAConnectionEnds(t *testing.T) {
	t.Parallel()
	release, reached := make(chan struct{}), make(chan struct{}, 1)
	server := smtptest.Start(t, &smtptest.Options{Answer: func(string, *smtp.Conn) error {
		reached <- struct{}{}
		<-release
		return nil
	}})
	m := newMailer(t, server.Addr, &mailer.Options{Connections: 1})
	sent := make(chan error)
	go func() { sent <- m.Send(t.Context(), newMessage(t, "ann@shop.example")) }()
	<-reached
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	wantUnavailable(t, m.Send(ctx, newMessage(t, "bob@shop.example")))
	if ctx.Err() != nil {
		t.Error("no time is left for a mail")
	}
	go func() {
		for range reached {
		}
	}()
	close(release)
	if err := <-sent; err != nil {
		t.Error(err)
	}
	close(reached)
}

// script is a server that says what it is told to, whatever it hears.
func script(t *testing.T, say func(net.Conn)) (addr string) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var served sync.WaitGroup
	served.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		say(conn)
	})
	t.Cleanup(func() {
		_ = listener.Close()
		served.Wait()
	})
	return listener.Addr().String()
}

func TestHostileServer(t *testing.T) {
	t.Parallel()
	endless := func(conn net.Conn) {
		for {
			if _, err := io.WriteString(conn, strings.Repeat("x", 4096)); err != nil {
				return
			}
		}
	}
	tests := []struct {
		name, want string
		say        func(net.Conn)
	}{
		{"a greeting without end", "too long", endless},
		{"no SMTP", "is not SMTP", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 400 ann@shop.example\r\n\r\n")
		}},
		{"closes at once", "EOF", func(net.Conn) {}},
		{"an answer without end", "greeting: ", func(conn net.Conn) {
			_, _ = io.WriteString(conn, "220 ready\r\n")
			_, _ = bufio.NewReader(conn).ReadString('\n')
			endless(conn)
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := newMailer(t, script(t, test.say), nil).Send(t.Context(), newMessage(t, "ann@shop.example"))
			wantUnavailable(t, err)
			if !strings.Contains(err.Error(), test.want) || len(err.Error()) > 300 || strings.Contains(err.Error(), "ann@") {
				t.Errorf("got %.300s, want %q without the server's words", err, test.want)
			}
		})
	}
}

// certificate borrows the one of httptest: for 127.0.0.1, signed by itself.
func certificate(t *testing.T) (*tls.Config, *x509.CertPool) {
	t.Helper()
	web := httptest.NewTLSServer(nil)
	web.Close()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}))
	return &tls.Config{Certificates: web.TLS.Certificates, MinVersion: tls.VersionTLS12}, roots
}

func TestTLS(t *testing.T) {
	t.Parallel()
	config, roots := certificate(t)
	tests := []struct {
		name   string
		server smtptest.Options
		client mailer.Server
		roots  *x509.CertPool
		fails  string
	}{
		{"starttls", smtptest.Options{TLS: config}, mailer.Server{TLS: mailer.StartTLS}, roots, ""},
		{"implicit", smtptest.Options{TLS: config, Implicit: true}, mailer.Server{TLS: mailer.Implicit}, roots, ""},
		{
			"signed in", smtptest.Options{TLS: config, Password: "canary"},
			mailer.Server{TLS: mailer.StartTLS, Username: "shop", Password: "canary"}, roots, "",
		},
		{
			"signed in, implicit", smtptest.Options{TLS: config, Implicit: true, Password: "canary"},
			mailer.Server{TLS: mailer.Implicit, Username: "shop", Password: "canary"}, roots, "",
		},
		{"not offered", smtptest.Options{}, mailer.Server{TLS: mailer.StartTLS}, roots, "does not offer STARTTLS"},
		{"unknown authority", smtptest.Options{TLS: config}, mailer.Server{TLS: mailer.StartTLS}, x509.NewCertPool(), "certificate"},
		{
			"wrong password", smtptest.Options{TLS: config, Password: "canary"},
			mailer.Server{TLS: mailer.StartTLS, Username: "shop", Password: "hunter22"}, roots, "sign-in: the server answered",
		},
		{
			"no sign-in offered", smtptest.Options{TLS: config},
			mailer.Server{TLS: mailer.StartTLS, Username: "shop", Password: "hunter22"}, roots, "no way to sign in",
		},
		{
			"sign-in needed", smtptest.Options{TLS: config, Password: "canary"},
			mailer.Server{TLS: mailer.StartTLS}, roots, "MAIL FROM: the server answered 502",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			server := smtptest.Start(t, &test.server)
			test.client.Addr = server.Addr
			m, err := mailer.New(test.client, &mailer.Options{RootCAs: test.roots, Idle: 20 * time.Millisecond})
			if err != nil {
				t.Fatal(err)
			}
			err = m.Send(t.Context(), newMessage(t, "ann@shop.example"))
			if test.fails == "" {
				if err != nil || len(server.Mails()) != 1 {
					t.Errorf("error %v, %d mails", err, len(server.Mails()))
				}
				return
			}
			wantUnavailable(t, err)
			if !strings.Contains(err.Error(), test.fails) || strings.Contains(err.Error(), "hunter22") {
				t.Errorf("got %v, want %q", err, test.fails)
			}
			eventually(t, "the connection is closed", func() bool {
				_, open := server.Sessions()
				return open == 0
			})
		})
	}
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	tests := []struct {
		server mailer.Server
		want   string
	}{
		{mailer.Server{Addr: "localhost", TLS: mailer.StartTLS}, "must be host:port"},
		{mailer.Server{Addr: ":25", TLS: mailer.StartTLS}, "must be host:port"},
		{mailer.Server{Addr: "localhost:", TLS: mailer.StartTLS}, "must be host:port"},
		{mailer.Server{Addr: "localhost:25", TLS: "tls"}, "must have a TLS of starttls, implicit or none"},
		{mailer.Server{Addr: "mail.example:25", TLS: mailer.NoTLS}, "must be on this machine"},
		{mailer.Server{Addr: "192.168.1.1:25", TLS: mailer.NoTLS}, "must be on this machine"},
	}
	for _, test := range tests {
		if _, err := mailer.New(test.server, nil); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%+v: got %v, want %q", test.server, err, test.want)
		}
	}
	for _, addr := range []string{"localhost:25", "127.0.0.1:25", "[::1]:25", "127.9.9.9:25"} {
		if _, err := mailer.New(mailer.Server{Addr: addr, TLS: mailer.NoTLS}, nil); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// BenchmarkSend measures mails per second over ten connections at once.
func BenchmarkSend(b *testing.B) {
	server := smtptest.Start(b, nil)
	m := newMailer(b, server.Addr, nil)
	b.SetParallelism(16)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := m.Send(b.Context(), newMessage(b, "ann@shop.example")); err != nil {
				b.Fatal(err)
			}
		}
	})
}
