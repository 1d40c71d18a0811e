package webhook

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/runtime/config"
)

// The headers of Standard Webhooks.
const (
	headerID        = "Webhook-Id"
	headerTimestamp = "Webhook-Timestamp"
	headerSignature = "Webhook-Signature"
)

// tolerance is how far a message's time may be from ours: an old message may be a replay.
const tolerance = 5 * time.Minute

// maxSignatures bounds the signatures of one message that are looked at.
const maxSignatures = 8

// keyBytes is the size of a new key, within the 24 to 64 bytes that the specification asks for.
const keyBytes = 32

// Secret signs messages. It never prints itself. The zero Secret accepts nothing.
type Secret struct{ config.Secret }

// NewSecret returns a random secret.
func NewSecret() Secret {
	var key [keyBytes]byte
	_, _ = rand.Read(key[:]) // crypto/rand ends the program rather than to return an error
	return Secret{config.NewSecret("whsec_" + base64.StdEncoding.EncodeToString(key[:]))}
}

// verify checks the signature of a message at the time now.
func (s Secret) verify(h http.Header, body []byte, now time.Time) error {
	for _, name := range []string{headerID, headerTimestamp, headerSignature} {
		if len(h.Values(name)) != 1 || h.Get(name) == "" {
			return fmt.Errorf("header %s must stand once", name)
		}
	}
	sent, err := strconv.ParseInt(h.Get(headerTimestamp), 10, 64)
	if err != nil {
		return errors.New("header " + headerTimestamp + " must be seconds since 1970")
	}
	if age := now.Unix() - sent; age > int64(tolerance.Seconds()) || age < -int64(tolerance.Seconds()) {
		return errors.New("header " + headerTimestamp + " is more than 5 minutes off")
	}
	want, err := s.sign(h.Get(headerID), sent, body)
	if err != nil {
		return err
	}
	for _, signature := range strings.SplitN(h.Get(headerSignature), " ", maxSignatures) {
		if hmac.Equal([]byte(signature), []byte(want)) {
			return nil
		}
	}
	return errors.New("no signature fits")
}

// sign returns the signature of a message in the form that the header has it.
func (s Secret) sign(id string, sent int64, body []byte) (string, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(s.Reveal(), "whsec_"))
	if err != nil || len(key) == 0 {
		return "", errors.New("the receiver has no secret")
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", id, sent)
	mac.Write(body)
	return "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)), nil
}
