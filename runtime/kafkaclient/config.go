package kafkaclient

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/config"
)

// Config is how a cluster is reached. Fill it with [config.Load]; in a program, Brokers alone is enough for a cluster
// without TLS and SASL. It is a value that is not changed after it was loaded, safe for concurrent use.
type Config struct {
	Brokers []string `env:"KAFKA_BROKERS, default=127.0.0.1:9092" doc:"Brokers to start from, host:port, joined by commas."`

	TLS         bool   `env:"KAFKA_TLS, default=false" doc:"Speak TLS 1.2 or later; the broker's certificate is verified."`
	TLSCAFile   string `env:"KAFKA_TLS_CA_FILE" doc:"PEM file of the authorities to trust in place of the system's."`
	TLSCertFile string `env:"KAFKA_TLS_CERT_FILE" doc:"PEM file of the client's certificate; read again for each connection."`
	TLSKeyFile  string `env:"KAFKA_TLS_KEY_FILE" doc:"PEM file of the client's private key."`

	SASLMechanism      string        `env:"KAFKA_SASL_MECHANISM" doc:"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or AWS_MSK_IAM; SASL is off where it is not set."`
	SASLUsername       string        `env:"KAFKA_SASL_USERNAME" doc:"User name for SASL."`
	SASLPassword       config.Secret `env:"KAFKA_SASL_PASSWORD" doc:"Password for SASL."`
	SASLAllowPlaintext bool          `env:"KAFKA_SASL_ALLOW_PLAINTEXT, default=false" doc:"Allow SASL without TLS to brokers that are not on the loopback interface."`

	IAM IAM

	MaxBatchBytes int64 `env:"KAFKA_MAX_BATCH_BYTES, default=67108864" min:"4194304" max:"1073741824" doc:"Bytes that a record batch may have, decompressed. The records of a larger one are lost: a dead letter tells their offsets."`

	// Dial opens connections in place of net.Dialer, for networks in memory and for faults. Default: nil.
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// Connections take note of the connections of every client that is made of this Config, so that they can be cut.
	// Default: nil.
	Connections *Connections
}

// defaultMaxBatchBytes is the default of KAFKA_MAX_BATCH_BYTES, for programs that do not read the environment.
const defaultMaxBatchBytes = 64 << 20

func (c Config) maxBatchBytes() int64 { return cmp.Or(c.MaxBatchBytes, defaultMaxBatchBytes) }

// maxBrokers bounds the list to start from; the rest of a cluster is learned from it.
const maxBrokers = 100

var mechanisms = []string{sarama.SASLTypePlaintext, sarama.SASLTypeSCRAMSHA256, sarama.SASLTypeSCRAMSHA512, mechanismIAM}

// Validate returns every problem of c, each a [config.Problem]. It reads no file.
func (c Config) Validate() error {
	return errors.Join(slices.Concat(c.brokerProblems(), c.tlsProblems(), c.saslProblems())...)
}

func (c Config) brokerProblems() []error {
	if n := len(c.Brokers); n == 0 || n > maxBrokers {
		return []error{problem("KAFKA_BROKERS", "must hold 1 to %d addresses, holds %d", maxBrokers, n)}
	}
	var problems []error
	for _, addr := range c.Brokers {
		if !isHostPort(addr) {
			problems = append(problems, problem("KAFKA_BROKERS", "must hold host:port with a port from 1 to 65535, holds %q", addr))
		}
	}
	return problems
}

func (c Config) tlsProblems() []error {
	var problems []error
	if !c.TLS && (c.TLSCAFile != "" || c.TLSCertFile != "" || c.TLSKeyFile != "") {
		problems = append(problems, problem("KAFKA_TLS", "must be true where KAFKA_TLS_CA_FILE, KAFKA_TLS_CERT_FILE or KAFKA_TLS_KEY_FILE is set"))
	}
	if c.TLSCertFile != "" && c.TLSKeyFile == "" {
		problems = append(problems, problem("KAFKA_TLS_KEY_FILE", "must be set where KAFKA_TLS_CERT_FILE is"))
	}
	if c.TLSCertFile == "" && c.TLSKeyFile != "" {
		problems = append(problems, problem("KAFKA_TLS_CERT_FILE", "must be set where KAFKA_TLS_KEY_FILE is"))
	}
	return problems
}

func (c Config) saslProblems() []error {
	if c.SASLMechanism == "" && c.SASLUsername == "" && c.SASLPassword.IsZero() {
		return nil
	}
	var problems []error
	if !slices.Contains(mechanisms, c.SASLMechanism) {
		problems = append(problems, problem("KAFKA_SASL_MECHANISM", "must be one of %s, is %q", strings.Join(mechanisms, ", "), c.SASLMechanism))
	}
	if c.SASLMechanism == mechanismIAM {
		problems = append(problems, c.IAM.problems()...)
	} else {
		problems = append(problems, c.passwordProblems()...)
	}
	if !c.TLS && !c.SASLAllowPlaintext && slices.ContainsFunc(c.Brokers, isRemote) {
		problems = append(problems, problem("KAFKA_TLS", "must be true: SASL without TLS would send credentials in clear text "+
			"(KAFKA_SASL_ALLOW_PLAINTEXT=true accepts that)"))
	}
	return problems
}

func (c Config) passwordProblems() []error {
	var problems []error
	if c.SASLUsername == "" {
		problems = append(problems, problem("KAFKA_SASL_USERNAME", "must be set where KAFKA_SASL_MECHANISM is"))
	}
	if c.SASLPassword.IsZero() {
		problems = append(problems, problem("KAFKA_SASL_PASSWORD", "must be set where KAFKA_SASL_MECHANISM is"))
	}
	return problems
}

func problem(variable, format string, args ...any) error {
	return config.Problem{Variable: variable, What: fmt.Sprintf(format, args...)}
}

func isHostPort(addr string) bool {
	host, port, err := net.SplitHostPort(addr)
	if err != nil || host == "" {
		return false
	}
	number, err := strconv.ParseUint(port, 10, 16)
	return err == nil && number > 0
}

// isRemote tells whether addr, host:port, is of another interface than the loopback one.
func isRemote(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return true
	}
	if host == "localhost" {
		return false
	}
	ip := net.ParseIP(host)
	return ip == nil || !ip.IsLoopback()
}
