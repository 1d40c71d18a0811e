package kafkaclient

import (
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"

	"github.com/IBM/sarama"
)

const (
	// minIterations is the least that RFC 7677 allows; a broker that asks for less is refused.
	minIterations = 4096
	// maxIterations bounds what a broker can have the client compute. Kafka's brokers store 16,384 at most.
	maxIterations = 1 << 20
	// maxScramReason bounds what a broker can have an error say, in bytes.
	maxScramReason = 64
)

// The faults of what a broker says in a SCRAM conversation.
var (
	errScramMessage    = errors.New("SCRAM: the broker's message is malformed")
	errScramNonce      = errors.New("SCRAM: the broker's nonce does not begin with the client's")
	errScramIterations = fmt.Errorf("SCRAM: the broker asks for fewer than %d or more than %d iterations", minIterations, maxIterations)
	errScramBroker     = errors.New("SCRAM: the broker does not know the password")
	errScramOver       = errors.New("SCRAM: the conversation is over")
)

// scramClient lets sarama authenticate by SCRAM (RFC 5802), without channel binding, which Kafka does not offer. The broker has
// to prove that it knows the password, too.
//
// Names and passwords are sent as they are, in UTF-8, as Kafka's own client does; its brokers do not prepare them by SASLprep
// either. It is no library because that would prepare tables for SASLprep at each start of a program.
type scramClient struct {
	mechanism string

	user, password, authzID string
	// nonce is the client's, then the one that both made.
	nonce string
	// bare is the first message without its header.
	bare string
	// proof is what the broker has to answer with.
	proof []byte
	steps int
}

// Begin implements [sarama.SCRAMClient].
func (s *scramClient) Begin(user, password, authzID string) error {
	s.user, s.password, s.authzID = user, password, authzID
	s.nonce, s.steps = rand.Text(), 0
	return nil
}

// Step implements [sarama.SCRAMClient].
func (s *scramClient) Step(challenge string) (string, error) {
	s.steps++
	switch s.steps {
	case 1:
		return s.first(), nil
	case 2:
		return s.final(challenge)
	case 3:
		return "", s.verify(challenge)
	default:
		return "", errScramOver
	}
}

// Done implements [sarama.SCRAMClient].
func (s *scramClient) Done() bool { return s.steps >= 3 }

// header says that there is no channel binding, and who the user wants to be.
func (s *scramClient) header() string {
	if s.authzID == "" {
		return "n,,"
	}
	return "n,a=" + scramName(s.authzID) + ","
}

func scramName(name string) string { return strings.NewReplacer("=", "=3D", ",", "=2C").Replace(name) }

// first returns the client's first message.
func (s *scramClient) first() string {
	s.bare = "n=" + scramName(s.user) + ",r=" + s.nonce
	return s.header() + s.bare
}

// final answers the broker's first message with the proof that the client knows the password.
func (s *scramClient) final(challenge string) (string, error) {
	nonce, salt, iterations, err := parseScram(challenge)
	switch {
	case err != nil:
		return "", err
	case !strings.HasPrefix(nonce, s.nonce) || len(nonce) == len(s.nonce):
		return "", errScramNonce
	case iterations < minIterations || iterations > maxIterations:
		return "", errScramIterations
	}
	s.nonce = nonce
	message := "c=" + base64.StdEncoding.EncodeToString([]byte(s.header())) + ",r=" + nonce
	proof, err := s.prove(salt, iterations, s.bare+","+challenge+","+message)
	if err != nil {
		return "", fmt.Errorf("SCRAM: %w", err)
	}
	return message + ",p=" + base64.StdEncoding.EncodeToString(proof), nil
}

// parseScram takes a broker's first message apart. Extensions at its end are passed over, as RFC 5802 has it; mandatory ones
// stand in front and are refused.
func parseScram(message string) (nonce string, salt []byte, iterations int, err error) {
	parts := strings.Split(message, ",")
	if len(parts) < 3 {
		return "", nil, 0, errScramMessage
	}
	nonce, hasNonce := strings.CutPrefix(parts[0], "r=")
	encoded, hasSalt := strings.CutPrefix(parts[1], "s=")
	count, hasCount := strings.CutPrefix(parts[2], "i=")
	salt, saltErr := base64.StdEncoding.DecodeString(encoded)
	iterations, countErr := strconv.Atoi(count)
	if !hasNonce || !hasSalt || !hasCount || saltErr != nil || len(salt) == 0 || countErr != nil {
		return "", nil, 0, errScramMessage
	}
	return nonce, salt, iterations, nil
}

// prove returns the client's proof of the conversation, and keeps the broker's.
func (s *scramClient) prove(salt []byte, iterations int, conversation string) ([]byte, error) {
	newHash := sha256.New
	if s.mechanism == sarama.SASLTypeSCRAMSHA512 {
		newHash = sha512.New
	}
	salted, err := pbkdf2.Key(newHash, s.password, salt, iterations, newHash().Size())
	if err != nil {
		return nil, err
	}
	clientKey := keyed(newHash, salted, "Client Key")
	stored := newHash()
	stored.Write(clientKey)
	signature := keyed(newHash, stored.Sum(nil), conversation)
	s.proof = keyed(newHash, keyed(newHash, salted, "Server Key"), conversation)
	proof := make([]byte, len(clientKey))
	subtle.XORBytes(proof, clientKey, signature)
	return proof, nil
}

func keyed(newHash func() hash.Hash, key []byte, text string) []byte {
	mac := hmac.New(newHash, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// verify checks the broker's proof.
func (s *scramClient) verify(message string) error {
	if reason, refused := strings.CutPrefix(message, "e="); refused {
		return fmt.Errorf("SCRAM: the broker refuses: %q", reason[:min(len(reason), maxScramReason)])
	}
	encoded, ok := strings.CutPrefix(message, "v=")
	encoded, _, _ = strings.Cut(encoded, ",")
	proof, err := base64.StdEncoding.DecodeString(encoded)
	switch {
	case !ok || err != nil:
		return errScramMessage
	case !hmac.Equal(proof, s.proof):
		return errScramBroker
	}
	return nil
}
