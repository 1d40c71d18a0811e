package kafkaclient

import (
	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// minIterations is the least that RFC 7677 allows; a broker that asks for less is refused.
const minIterations = 4096

// scramClient lets sarama authenticate by SCRAM (RFC 5802). The broker has to prove that it knows the password, too.
type scramClient struct {
	mechanism    string
	conversation *scram.ClientConversation
}

// Begin implements [sarama.SCRAMClient].
func (s *scramClient) Begin(user, password, authzID string) error {
	hash := scram.SHA256
	if s.mechanism == sarama.SASLTypeSCRAMSHA512 {
		hash = scram.SHA512
	}
	client, err := hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	s.conversation = client.WithMinIterations(minIterations).NewConversation()
	return nil
}

// Step implements [sarama.SCRAMClient].
func (s *scramClient) Step(challenge string) (string, error) { return s.conversation.Step(challenge) }

// Done implements [sarama.SCRAMClient].
func (s *scramClient) Done() bool { return s.conversation.Done() }
