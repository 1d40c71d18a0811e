package webhook_test

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/functions/notification-requested/internal/webhook"
)

// The vector that the libraries of Standard Webhooks share.
func TestSignGolden(t *testing.T) {
	t.Parallel()
	at, body := time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`)
	got := webhook.Sign(newKeys(t, secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	if want := "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSignCoversEverything(t *testing.T) {
	t.Parallel()
	keys, at := newKeys(t, secret), time.Unix(1614265330, 0)
	signed := webhook.Sign(keys, "event-1", at, []byte("{}"))
	others := map[string]string{
		"id":   webhook.Sign(keys, "event-2", at, []byte("{}")),
		"time": webhook.Sign(keys, "event-1", at.Add(time.Second), []byte("{}")),
		"body": webhook.Sign(keys, "event-1", at, []byte("{ }")),
		"key":  webhook.Sign(newKeys(t, newSecret("n", 32)), "event-1", at, []byte("{}")),
	}
	for changed, signature := range others {
		if signature == signed {
			t.Errorf("another %s gives the same signature", changed)
		}
	}
}

func TestSignWithTwoKeys(t *testing.T) {
	t.Parallel()
	next := newSecret("n", 32)
	at := time.Unix(1614265330, 0)
	both := webhook.Sign(newKeys(t, secret+" "+next), "event-1", at, []byte("{}"))
	want := webhook.Sign(newKeys(t, secret), "event-1", at, []byte("{}")) + " " +
		webhook.Sign(newKeys(t, next), "event-1", at, []byte("{}"))
	if both != want {
		t.Errorf("got %s, want %s", both, want)
	}
}

func newSecret(letter string, size int) string {
	return "whsec_" + base64.StdEncoding.EncodeToString([]byte(strings.Repeat(letter, size)))
}

func TestParseKeysRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"":                                 "1 to 4 keys",
		strings.Repeat(secret+" ", 5):      "1 to 4 keys",
		"MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw": "key 1 of 1 does not start with whsec_",
		secret + " whsec_canary!":          "key 2 of 2 is not base64",
		newSecret("c", 23):                 "has 23 bytes",
		newSecret("c", 65):                 "has 65 bytes",
		"whsec_":                           "has 0 bytes",
		secret + "," + "whsec_canaryCanaryCanary": "key 1 of 1 is not base64",
	}
	for text, want := range tests {
		_, err := webhook.ParseKeys(text)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
		if err != nil && strings.Contains(strings.ToLower(err.Error()), "canary") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func TestKeyIsNotPrinted(t *testing.T) {
	t.Parallel()
	key := newKeys(t, newSecret("canary", 5))[0]
	for _, format := range []string{"%v", "%+v", "%#v", "%s", "%x", "%q"} {
		if text := fmt.Sprintf(format, key); strings.Contains(text, "canary") || strings.Contains(text, "63616e617279") {
			t.Errorf("%s prints the key: %s", format, text)
		}
	}
}
