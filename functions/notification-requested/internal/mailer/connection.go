package mailer

import (
	"context"
	"errors"
	"net"
	"time"

	"github.com/wneessen/go-mail"
	"github.com/wneessen/go-mail/smtp"
)

// maxAnswers is how many bytes a server may say while it takes one mail, or while a connection is set up.
const maxAnswers = 256 << 10

// boundedConn is a connection that ends with a context and reads no more than maxAnswers while bound to it: a server
// that never ends its line would fill the memory.
type boundedConn struct {
	net.Conn
	left int
}

// errTooMuch ends a connection to a server that talks too much.
var errTooMuch = errors.New("the server's answers are too long")

func (c *boundedConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooMuch
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// bind ties the connection to ctx, its deadline included, until release is called. It tells whether the connection
// outlived ctx; one that did not may fail at any time.
func (c *boundedConn) bind(ctx context.Context) (release func() (alive bool)) {
	c.left = maxAnswers
	deadline, _ := ctx.Deadline()
	_ = c.SetDeadline(deadline) // A dead connection shows at the next read.
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// connection is one session with the server.
type connection struct {
	conn   *boundedConn
	client *smtp.Client
	// used: a mail was sent on it before. broken: no other can be.
	used, broken bool
	idleSince    time.Time
}

// send runs one mail transaction (RFC 5321 §3.3).
func (c *connection) send(ctx context.Context, timeout time.Duration, message *mail.Msg) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	release := c.conn.bind(ctx)
	c.used = true
	err := c.transact(message)
	recovered := err == nil || c.recovers(err)
	c.broken = !release() || !recovered
	return err
}

// recovers tells whether the connection can take another mail after err, and makes it ready.
func (c *connection) recovers(err error) bool {
	code := replyCode(err)
	return code != 0 && code != 421 && c.client.Reset() == nil
}

func (c *connection) transact(message *mail.Msg) error {
	from, err := message.GetSender(false)
	if err != nil {
		return &phaseError{phase: phaseMessage, err: err}
	}
	to, err := message.GetRecipients()
	if err != nil {
		return &phaseError{phase: phaseMessage, err: err}
	}
	if err := c.client.Mail(from); err != nil {
		return &phaseError{phase: phaseMail, err: err}
	}
	for _, rcpt := range to {
		if err := c.client.Rcpt(rcpt); err != nil {
			return &phaseError{phase: phaseRcpt, err: err}
		}
	}
	return c.content(message)
}

func (c *connection) content(message *mail.Msg) error {
	w, err := c.client.Data()
	if err != nil {
		return &phaseError{phase: phaseData, err: err}
	}
	if _, err := message.WriteTo(w); err != nil {
		return &phaseError{phase: phaseContent, err: err}
	}
	if err := w.Close(); err != nil {
		return &phaseError{phase: phaseContent, err: err}
	}
	return nil
}

// close says good-bye and does not wait long for the answer.
func (c *connection) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	defer c.conn.bind(ctx)()
	_ = c.client.Quit()
	_ = c.conn.Close()
}
