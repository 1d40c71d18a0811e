package kafkaclient

import (
	"errors"
	"strings"
	"testing"

	"github.com/IBM/sarama"
)

// The conversation of RFC 7677 §3.
const (
	rfcNonce  = "rOprNGfwEbeRWgbNEkqO"
	rfcFirst  = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
	rfcServer = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	rfcFinal  = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
	rfcProof  = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
)

// begun returns a client that has sent the RFC's first message.
func begun(t *testing.T) *scramClient {
	t.Helper()
	s := &scramClient{mechanism: sarama.SASLTypeSCRAMSHA256}
	if err := s.Begin("user", "pencil", ""); err != nil {
		t.Fatal(err)
	}
	s.nonce = rfcNonce
	if first, err := s.Step(""); first != rfcFirst || err != nil {
		t.Fatalf("first message %s, %v", first, err)
	}
	return s
}

func TestScramSpeaksAsTheRFC(t *testing.T) {
	t.Parallel()
	s := begun(t)
	if final, err := s.Step(rfcServer); final != rfcFinal || err != nil || s.Done() {
		t.Fatalf("final message %s, %v, done %t", final, err, s.Done())
	}
	if last, err := s.Step(rfcProof); last != "" || err != nil || !s.Done() {
		t.Fatalf("last message %s, %v, done %t", last, err, s.Done())
	}
	if _, err := s.Step(rfcProof); !errors.Is(err, errScramOver) {
		t.Errorf("a fourth step: %v", err)
	}
}

func TestScramRefusesBrokers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		message string
		want    error
	}{
		"empty":               {"", errScramMessage},
		"no salt":             {"r=" + rfcNonce + "x,s=,i=4096", errScramMessage},
		"salt in no base64":   {"r=" + rfcNonce + "x,s=*,i=4096", errScramMessage},
		"no iterations":       {"r=" + rfcNonce + "x,s=W22Z", errScramMessage},
		"a word":              {"r=" + rfcNonce + "x,s=W22Z,i=many", errScramMessage},
		"mandatory extension": {"m=new," + rfcServer, errScramMessage},
		"another nonce":       {"r=x" + rfcNonce + ",s=W22Z,i=4096", errScramNonce},
		"our own nonce":       {"r=" + rfcNonce + ",s=W22Z,i=4096", errScramNonce},
		"too few iterations":  {strings.Replace(rfcServer, "4096", "4095", 1), errScramIterations},
		"too many iterations": {strings.Replace(rfcServer, "4096", "999999999", 1), errScramIterations},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if answer, err := begun(t).Step(c.message); answer != "" || !errors.Is(err, c.want) {
				t.Errorf("answer %q, %v, want %v", answer, err, c.want)
			}
		})
	}
}

func TestScramTrustsNoBrokerWithoutItsProof(t *testing.T) {
	t.Parallel()
	for message, want := range map[string]string{
		"": "malformed", "v=*": "malformed", "6rri": "malformed", "v=6rri": "does not know the password",
		"v=": "does not know the password", "e=invalid-proof": "invalid-proof", "e=" + strings.Repeat("x", 1000): "refuses",
	} {
		s := begun(t)
		if _, err := s.Step(rfcServer); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Step(message); err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 200 {
			t.Errorf("%q: %v, want %s", message, err, want)
		}
	}
}

func TestScramNames(t *testing.T) {
	t.Parallel()
	s := &scramClient{}
	if err := s.Begin("a=b,c", "p", "d,e"); err != nil {
		t.Fatal(err)
	}
	if first, _ := s.Step(""); first != "n,a=d=2Ce,n=a=3Db=2Cc,r="+s.nonce || len(s.nonce) < 20 {
		t.Errorf("first message %s", first)
	}
}
