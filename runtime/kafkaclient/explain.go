package kafkaclient

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/IBM/sarama"
)

// Explain adds to err, which sarama returned for brokers, the addresses, the likely cause and what to do, in one line.
// errors.Is and errors.As see err as before. Explain(nil, …) is nil.
func Explain(err error, brokers []string) error {
	if err == nil {
		return nil
	}
	return &explained{brokers: strings.Join(brokers, ", "), advice: advice(err), err: err}
}

type explained struct {
	brokers, advice string
	err             error
}

func (e *explained) Error() string {
	cause := strings.ReplaceAll(e.err.Error(), "\n", "; ")
	if e.advice == "" {
		return fmt.Sprintf("kafka at %s: %s", e.brokers, cause)
	}
	return fmt.Sprintf("kafka at %s: %s (%s)", e.brokers, e.advice, cause)
}

func (e *explained) Unwrap() error { return e.err }

// advice is the likely cause of err and what to do, or "" where err says enough.
func advice(err error) string {
	switch {
	case errors.Is(err, sarama.ErrSASLAuthenticationFailed):
		return "user or password refused: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
	case errors.Is(err, sarama.ErrUnsupportedSASLMechanism):
		return "the broker does not offer this mechanism: check KAFKA_SASL_MECHANISM"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "no broker listens there: start one (make run), or set KAFKA_BROKERS"
	case isNameError(err):
		return "the host name is not known: check KAFKA_BROKERS"
	case isTLSError(err):
		return tlsAdvice(err)
	case isTimeout(err):
		return "no answer: check the address in KAFKA_BROKERS, firewalls between, and whether the port wants TLS (KAFKA_TLS)"
	case errors.Is(err, io.EOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return "the broker closed the connection: check KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD, whether the port " +
			"wants SASL (KAFKA_SASL_MECHANISM) and whether it wants TLS (KAFKA_TLS)"
	}
	return ""
}

func isNameError(err error) bool {
	var dns *net.DNSError
	return errors.As(err, &dns) && !dns.Timeout()
}

func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.As(err, &timeout) && timeout.Timeout()
}

func isTLSError(err error) bool {
	var (
		verification *tls.CertificateVerificationError
		record       tls.RecordHeaderError
		alert        *net.OpError
	)
	return errors.As(err, &verification) || errors.As(err, &record) ||
		errors.As(err, &alert) && (alert.Op == "remote error" || alert.Op == "local error")
}

func tlsAdvice(err error) string {
	var (
		authority x509.UnknownAuthorityError
		hostname  x509.HostnameError
		invalid   x509.CertificateInvalidError
		record    tls.RecordHeaderError
	)
	switch {
	case errors.As(err, &record):
		return "the broker does not speak TLS on this port: use its TLS port, or KAFKA_TLS=false"
	case errors.As(err, &authority):
		return "the broker's certificate is of an authority that is not trusted: set KAFKA_TLS_CA_FILE"
	case errors.As(err, &hostname):
		return "the broker's certificate is for another name: use that name in KAFKA_BROKERS and in advertised.listeners"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "the broker's certificate is expired or not yet valid: renew it, or check the clock"
	}
	return "TLS failed: check KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE, and that the broker speaks TLS 1.2 or later"
}
