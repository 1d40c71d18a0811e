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
		return "user or password refused: check KAFKA_SASL_USERNAME, KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM; " +
			"with AWS_MSK_IAM the role's permission for kafka-cluster:Connect, AWS_REGION and the clock"
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
	dns, ok := errors.AsType[*net.DNSError](err)
	return ok && !dns.Timeout()
}

func isTimeout(err error) bool {
	timeout, ok := errors.AsType[interface {
		error
		Timeout() bool
	}](err)
	return ok && timeout.Timeout()
}

func isTLSError(err error) bool {
	_, verification := errors.AsType[*tls.CertificateVerificationError](err)
	_, record := errors.AsType[tls.RecordHeaderError](err)
	// The handshake's alerts have no type of their own.
	op, ok := errors.AsType[*net.OpError](err)
	return verification || record || ok && (op.Op == "remote error" || op.Op == "local error")
}

func tlsAdvice(err error) string {
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "the broker does not speak TLS on this port: use its TLS port, or KAFKA_TLS=false"
	}
	if _, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return "the broker's certificate is of an authority that is not trusted: set KAFKA_TLS_CA_FILE"
	}
	if _, ok := errors.AsType[x509.HostnameError](err); ok {
		return "the broker's certificate is for another name: use that name in KAFKA_BROKERS and in advertised.listeners"
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return "the broker's certificate is expired or not yet valid: renew it, or check the clock"
	}
	return "TLS failed: check KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE, and that the broker speaks TLS 1.2 or later"
}
