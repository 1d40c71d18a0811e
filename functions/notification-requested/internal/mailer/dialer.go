package mailer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/wneessen/go-mail/smtp"
)

// dialer opens connections that are ready for a mail.
type dialer struct {
	server  Server
	host    string
	name    string
	config  *tls.Config
	timeout time.Duration
}

func newDialer(server Server, o *Options) (*dialer, error) {
	host, port, err := net.SplitHostPort(server.Addr)
	if err != nil || host == "" || port == "" {
		return nil, errors.New("must be host:port")
	}
	if !slices.Contains([]TLS{StartTLS, Implicit, NoTLS}, server.TLS) {
		return nil, errors.New("must have a TLS of starttls, implicit or none")
	}
	if server.TLS == NoTLS && !isLoopback(host) {
		return nil, errors.New("must be on this machine where TLS is none: use starttls or implicit")
	}
	return &dialer{
		server:  server,
		host:    host,
		name:    hostname(),
		config:  &tls.Config{ServerName: host, RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		timeout: o.Timeout,
	}, nil
}

// hostname is how the client introduces itself.
func hostname() string {
	name, err := os.Hostname()
	if err != nil || strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "localhost"
	}
	return name
}

// dial returns a connection on which the greeting, TLS and the sign-in are done.
func (d *dialer) dial(ctx context.Context) (*connection, error) {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	raw, err := new(net.Dialer).DialContext(ctx, "tcp", d.server.Addr)
	if err != nil {
		return nil, err
	}
	conn := &boundedConn{Conn: raw}
	release := conn.bind(ctx)
	c, err := d.greet(conn)
	if !release() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close() // Its error adds nothing to err.
		return nil, fmt.Errorf("SMTP server %s: %w", d.server.Addr, withoutWords(err))
	}
	return c, nil
}

func (d *dialer) greet(conn *boundedConn) (*connection, error) {
	if d.server.TLS == NoTLS && !onLoopback(conn) {
		return nil, errors.New("its name leads to another machine: mail to it needs starttls or implicit TLS")
	}
	var outer net.Conn = conn
	if d.server.TLS == Implicit {
		outer = tls.Client(conn, d.config)
	}
	client, err := smtp.NewClient(outer, d.host)
	if err != nil {
		return nil, &phaseError{phase: phaseGreeting, err: err}
	}
	client.SkipSMTPUTF8(true) // Addresses are ASCII: see the handler's recipient rules.
	if err := client.Hello(d.name); err != nil {
		return nil, &phaseError{phase: phaseGreeting, err: err}
	}
	if d.server.TLS == StartTLS {
		if offered, _ := client.Extension("STARTTLS"); !offered {
			return nil, errors.New("it does not offer STARTTLS: use implicit TLS, or none for a catcher on this machine")
		}
		if err := client.StartTLS(d.config); err != nil {
			return nil, &phaseError{phase: phaseTLS, err: err}
		}
	}
	return &connection{conn: conn, client: client}, d.signIn(client)
}

// isLoopback tells whether host, as it stands in a setting, names this machine without a look-up.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func onLoopback(conn net.Conn) bool {
	addr, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

func (d *dialer) signIn(client *smtp.Client) error {
	if d.server.Username == "" {
		return nil
	}
	_, offered := client.Extension("AUTH")
	auth, err := d.mechanism(strings.Fields(offered))
	if err != nil {
		return err
	}
	if err := client.Auth(auth); err != nil {
		return &phaseError{phase: phaseSignIn, err: err}
	}
	return nil
}

// mechanism picks the strongest of the offered ways to sign in. PLAIN and LOGIN show the password to the server; go-mail
// refuses them without TLS.
func (d *dialer) mechanism(offered []string) (smtp.Auth, error) {
	user, password := d.server.Username, d.server.Password
	switch {
	case slices.Contains(offered, "SCRAM-SHA-256"):
		return smtp.ScramSHA256Auth(user, password), nil
	case slices.Contains(offered, "PLAIN"):
		return smtp.PlainAuth("", user, password, d.host, false), nil
	case slices.Contains(offered, "LOGIN"):
		return smtp.LoginAuth(user, password, d.host, false), nil
	}
	return nil, errors.New("it offers no way to sign in that is known here (SCRAM-SHA-256, PLAIN, LOGIN)")
}
