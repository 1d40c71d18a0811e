package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/emersion/go-smtp"
)

// DefaultAddr is where the server listens: the port that mail catchers have by custom.
const DefaultAddr = "127.0.0.1:1025"

// The defaults of Options.
const (
	DefaultMaxMessages     = 1000
	DefaultMaxBytes        = 64 << 20
	DefaultMaxMessageBytes = 4 << 20
	DefaultMaxRecipients   = 100
)

// idleTimeout ends a connection on which nothing is said.
const idleTimeout = time.Minute

// Options are the settings of a server. The zero value is usable.
type Options struct {
	// Addr is where to listen. Default: [DefaultAddr]. Port 0 takes a free one.
	Addr string
	// MaxMessages and MaxBytes bound what is kept: the oldest mails go first, the newest always stays.
	// Defaults: [DefaultMaxMessages], [DefaultMaxBytes].
	MaxMessages, MaxBytes int
	// MaxMessageBytes is the size of the largest mail that is taken. Default: [DefaultMaxMessageBytes].
	MaxMessageBytes int
	// Received, where set, is told of each mail before its sender is told that it was taken. It is called from many
	// goroutines and should return at once.
	Received func(Message)
	// Log takes the server's own errors. Default: nowhere.
	Log *slog.Logger
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	c.Addr = cmp.Or(c.Addr, DefaultAddr)
	c.MaxMessages = cmp.Or(c.MaxMessages, DefaultMaxMessages)
	c.MaxBytes = cmp.Or(c.MaxBytes, DefaultMaxBytes)
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, DefaultMaxMessageBytes)
	c.Log = cmp.Or(c.Log, slog.New(slog.DiscardHandler))
	return c
}

// Server is a running server. Its methods may be called concurrently.
type Server struct {
	options  Options
	addr     string
	listener *listener
	smtp     *smtp.Server
	served   sync.WaitGroup
	box      box
}

// Start starts a server.
func Start(o *Options) (*Server, error) {
	s := &Server{options: o.withDefaults()}
	inner, err := net.Listen("tcp", s.options.Addr)
	if err != nil {
		return nil, fmt.Errorf("SMTP server: %w", err)
	}
	s.addr = inner.Addr().String()
	s.listener = &listener{Listener: inner, conns: map[net.Conn]struct{}{}}
	s.box.init(s.options.MaxMessages, s.options.MaxBytes)
	s.smtp = smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) {
		return &session{server: s}, nil
	}))
	s.smtp.Domain = "localhost"
	s.smtp.MaxRecipients = DefaultMaxRecipients
	s.smtp.MaxMessageBytes = int64(s.options.MaxMessageBytes)
	s.smtp.ReadTimeout, s.smtp.WriteTimeout = idleTimeout, idleTimeout
	s.smtp.EnableSMTPUTF8 = true
	s.smtp.ErrorLog = slog.NewLogLogger(s.options.Log.Handler(), slog.LevelWarn)
	s.served.Go(func() {
		if err := s.smtp.Serve(s.listener); err != nil && !errors.Is(err, net.ErrClosed) {
			s.options.Log.Error("the SMTP server stopped", "addr", s.addr, "error", err)
		}
	})
	return s, nil
}

// Addr is where the server listens, "127.0.0.1:1025".
func (s *Server) Addr() string { return s.addr }

// Messages returns the mails that are kept, the oldest first. They are shared: do not change them.
func (s *Server) Messages() []Message { return s.box.all() }

// Received is the number of mails taken since the start, those that are not kept any more included.
func (s *Server) Received() uint64 { return s.box.count() }

// Wait returns the first kept mail that match accepts, and waits for one until ctx ends. match may see a mail more than
// once.
func (s *Server) Wait(ctx context.Context, match func(Message) bool) (Message, error) {
	for {
		changed := s.box.change()
		for _, m := range s.box.all() {
			if match(m) {
				return m, nil
			}
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return Message{}, fmt.Errorf("no such mail among the %d that came to %s: %w", s.Received(), s.addr, ctx.Err())
		}
	}
}

// Close ends the server and waits for it; mails that are under way are cut off, and their senders see it.
func (s *Server) Close() error {
	err := s.listener.Close()
	s.served.Wait()
	if stop := s.smtp.Shutdown(context.Background()); !errors.Is(stop, smtp.ErrServerClosed) {
		err = errors.Join(err, stop)
	}
	return err
}

// session is one connection.
type session struct {
	server *Server
	from   string
	to     []string
}

// Mail implements smtp.Session.
func (s *session) Mail(from string, _ *smtp.MailOptions) error {
	if err := checkAddress(from); err != nil && from != "" {
		return refuse(501, "sender: %v", err)
	}
	s.from = from
	return nil
}

// Rcpt implements smtp.Session.
func (s *session) Rcpt(to string, _ *smtp.RcptOptions) error {
	if err := checkAddress(to); err != nil {
		return refuse(501, "recipient: %v", err)
	}
	s.to = append(s.to, to)
	return nil
}

// Data implements smtp.Session.
func (s *session) Data(r io.Reader) error {
	raw, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	m, err := parse(raw)
	if err != nil {
		return refuse(554, "not a mail: %v", err)
	}
	m.From, m.To, m.Received = s.from, s.to, time.Now()
	m = s.server.box.add(m)
	if s.server.options.Received != nil {
		s.server.options.Received(m)
	}
	return nil
}

// Reset implements smtp.Session.
func (s *session) Reset() { s.from, s.to = "", nil }

// Logout implements smtp.Session.
func (s *session) Logout() error { return nil }

func refuse(code int, format string, args ...any) error {
	return &smtp.SMTPError{Code: code, EnhancedCode: smtp.EnhancedCodeNotSet, Message: fmt.Sprintf(format, args...)}
}
