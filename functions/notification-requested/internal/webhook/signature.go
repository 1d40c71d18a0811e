package webhook

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strings"
	"time"
)

// Key signs messages.
type Key struct {
	// newMAC holds the key's bytes where no way of printing a Key reaches them.
	newMAC func() hash.Hash
}

// The size of a key in bytes (Standard Webhooks, "Signature scheme").
const (
	minKey = 24
	maxKey = 64
)

// ParseKeys reads keys of the form "whsec_" and base64, separated by spaces: the current one and, while keys are
// rotated, the next. It takes 1 to 4. The errors count the keys and do not show them.
func ParseKeys(text string) ([]Key, error) {
	words := strings.Fields(text)
	if len(words) < 1 || len(words) > 4 {
		return nil, fmt.Errorf("must be 1 to 4 keys separated by spaces, has %d", len(words))
	}
	keys := make([]Key, len(words))
	for i, word := range words {
		secret, err := parseKey(word)
		if err != nil {
			return nil, fmt.Errorf("must be keys of whsec_ and base64; key %d of %d %w", i+1, len(words), err)
		}
		keys[i] = Key{newMAC: func() hash.Hash { return hmac.New(sha256.New, secret) }}
	}
	return keys, nil
}

func parseKey(word string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(word, "whsec_")
	if !ok {
		return nil, errors.New("does not start with whsec_")
	}
	secret, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, errors.New("is not base64 after whsec_")
	}
	if len(secret) < minKey || len(secret) > maxKey {
		return nil, fmt.Errorf("has %d bytes, not %d to %d", len(secret), minKey, maxKey)
	}
	return secret, nil
}

// Sign returns the value of the webhook-signature header: a signature of id, time and body for each key, separated by
// spaces. id must not contain a full stop.
func Sign(keys []Key, id string, at time.Time, body []byte) string {
	signatures := make([]string, len(keys))
	for i, key := range keys {
		mac := key.newMAC()
		fmt.Fprintf(mac, "%s.%d.", id, at.Unix())
		mac.Write(body)
		signatures[i] = "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil))
	}
	return strings.Join(signatures, " ")
}
