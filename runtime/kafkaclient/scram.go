package kafkaclient

import (
	"context"
	"errors"
	"fmt"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// scramClient lets sarama authenticate by SCRAM (RFC 5802). The broker has to prove that it knows the password, too, and is refused
// where it asks for fewer iterations than the 4,096 of RFC 7677.
//
// Names and passwords are taken as they are, which is what Kafka's brokers do: none prepares them (RFC 4013), as other clients do
// to their users' surprise.
type scramClient struct {
	mechanism string
	// first is what the client says before anything was asked of it.
	first   []byte
	session sasl.Session
	done    bool
}

var errNothingSaid = errors.New("the broker said nothing in an exchange that is not over")

// Begin implements [sarama.SCRAMClient].
func (s *scramClient) Begin(user, password, authzID string) (err error) {
	auth := scram.Auth{Zid: authzID, User: user, Pass: password}
	mechanism := auth.AsSha256Mechanism()
	if s.mechanism == sarama.SASLTypeSCRAMSHA512 {
		mechanism = auth.AsSha512Mechanism()
	}
	s.session, s.first, err = mechanism.Authenticate(context.Background(), "")
	return err
}

// Step implements [sarama.SCRAMClient].
func (s *scramClient) Step(challenge string) (response string, err error) {
	if first := s.first; first != nil {
		s.first = nil
		return string(first), nil
	}
	if challenge == "" {
		return "", errNothingSaid
	}
	done, answer, err := s.session.Challenge([]byte(challenge))
	if err != nil {
		return "", fmt.Errorf("%s: %w", s.mechanism, err)
	}
	s.done = done
	return string(answer), nil
}

// Done implements [sarama.SCRAMClient].
func (s *scramClient) Done() bool { return s.done }
