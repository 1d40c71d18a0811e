package mailer

import (
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
	"strconv"

	"github.com/millrace/millrace/runtime/function"
)

// phase is how far a conversation with the server came.
type phase string

const (
	phaseGreeting phase = "greeting"
	phaseTLS      phase = "TLS"
	phaseSignIn   phase = "sign-in"
	phaseMessage  phase = "composing the mail"
	phaseMail     phase = "MAIL FROM"
	phaseRcpt     phase = "RCPT TO"
	phaseData     phase = "DATA"
	phaseContent  phase = "content"
)

// phaseError is a failure and where it happened.
type phaseError struct {
	phase phase
	err   error
}

func (e *phaseError) Error() string { return fmt.Sprintf("%s: %v", e.phase, e.err) }

func (e *phaseError) Unwrap() error { return e.err }

// outcomeOf turns the failure of a transaction into what becomes of the event. The package comment has the table.
func outcomeOf(err error) error {
	var failed *phaseError
	if !errors.As(err, &failed) {
		return err
	}
	told := fmt.Errorf("SMTP %w", withoutWords(failed))
	switch code := replyCode(err); {
	case failed.phase == phaseMessage:
		return function.Permanent(told)
	case failed.phase == phaseMail, code == 421, isAboutSignIn(code):
		return function.Unavailable(Dependency, told)
	case code >= 500:
		return function.Permanent(told)
	case code == 0 && failed.phase != phaseContent && isTimeout(err):
		return function.Unavailable(Dependency, told)
	}
	return told
}

// isAboutSignIn: the server wants a sign-in, or another one (RFC 4954 §6). That is a setting, not the mail.
func isAboutSignIn(code int) bool { return code == 530 || code == 534 || code == 535 || code == 454 }

// isStale: the server hung up before the transaction began.
func isStale(err error) bool {
	var failed *phaseError
	if !errors.As(err, &failed) || failed.phase != phaseMail {
		return false
	}
	code := replyCode(err)
	return code == 421 || code == 0 && !isTimeout(err)
}

func replyCode(err error) int {
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		return reply.Code
	}
	return 0
}

func isTimeout(err error) bool {
	var failure net.Error
	return errors.As(err, &failure) && failure.Timeout()
}

// enhancedCode is a status code of RFC 3463: "5.1.1".
var enhancedCode = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

// withoutWords returns err with the server's own words left out, which may repeat the recipient's address. The codes
// stay.
func withoutWords(err error) error {
	var (
		failed    *phaseError
		reply     *textproto.Error
		malformed textproto.ProtocolError
	)
	switch {
	case !errors.As(err, &failed):
		return err
	case errors.As(err, &reply):
		return fmt.Errorf("%s: the server answered %s", failed.phase, codes(reply))
	case errors.As(err, &malformed):
		return fmt.Errorf("%s: the server's answer is not SMTP", failed.phase)
	}
	return err
}

func codes(reply *textproto.Error) string {
	if enhanced := enhancedCode.FindString(reply.Msg); enhanced != "" {
		return fmt.Sprintf("%d %s", reply.Code, enhanced)
	}
	return strconv.Itoa(reply.Code)
}
