package mailer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"github.com/wneessen/go-mail"

	"github.com/millrace/millrace/runtime/function"
)

// Dependency names the SMTP server in function.Unavailable.
const Dependency = "smtp"

// TLS says how the connection to the server is secured.
type TLS string

// The ways to secure a connection.
const (
	// StartTLS connects in the clear and upgrades before anything else is said (RFC 3207). A server that does not offer
	// it is not used.
	StartTLS TLS = "starttls"
	// Implicit speaks TLS from the first byte (RFC 8314 §3.3), usually on port 465.
	Implicit TLS = "implicit"
	// NoTLS speaks in the clear. It is for a catcher of mail on the same machine: only loopback addresses may use it.
	NoTLS TLS = "none"
)

// Server is where mail goes.
type Server struct {
	// Addr is host:port.
	Addr string
	TLS  TLS
	// Username and Password sign in, where Username is not empty.
	Username, Password string
}

// Options are what a Mailer can be told beside its server. The zero value holds the defaults.
type Options struct {
	// Connections is how many may be open at once. Default: 10.
	Connections int
	// Idle is how long an unused connection is kept. Default: 15 s, less than servers allow.
	Idle time.Duration
	// Timeout is how long connecting may take, and after it how long one mail may take. Default: 10 s.
	Timeout time.Duration
	// RootCAs signs the server's certificate. Default: the system's.
	RootCAs *x509.CertPool
}

// The defaults of Options.
const (
	DefaultConnections = 10
	DefaultIdle        = 15 * time.Second
	DefaultTimeout     = 10 * time.Second
)

func (o *Options) complete() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Connections <= 0 {
		c.Connections = DefaultConnections
	}
	if c.Idle <= 0 {
		c.Idle = DefaultIdle
	}
	if c.Timeout <= 0 {
		c.Timeout = DefaultTimeout
	}
	return c
}

// Mailer sends mail through one server. It may be used by many goroutines at once.
type Mailer struct {
	pool    *pool
	timeout time.Duration
}

// New returns a Mailer. It does not connect. The error says what server must be.
func New(server Server, opts *Options) (*Mailer, error) {
	o := opts.complete()
	d, err := newDialer(server, &o)
	if err != nil {
		return nil, err
	}
	return &Mailer{pool: newPool(o.Connections, o.Idle, d.dial), timeout: o.Timeout}, nil
}

// Send delivers message to the server. The package comment lists the errors. They carry the codes that the server
// answered, not its words, which may repeat an address.
func (m *Mailer) Send(ctx context.Context, message *mail.Msg) error {
	err := m.send(ctx, message)
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return fmt.Errorf("sending mail: %w", ctx.Err())
	}
	return err
}

func (m *Mailer) send(ctx context.Context, message *mail.Msg) error {
	for {
		c, err := m.pool.get(ctx)
		if err != nil {
			return function.Unavailable(Dependency, err)
		}
		reused := c.used
		err = c.send(ctx, m.timeout, message)
		m.pool.put(c)
		if reused && isStale(err) {
			continue // The server closed the connection while it was idle. Nothing of the mail was sent.
		}
		return outcomeOf(err)
	}
}
