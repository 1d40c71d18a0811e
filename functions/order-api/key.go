package orderapi

import (
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
)

// The headers by which a request may be repeated (draft-ietf-httpapi-idempotency-key-header).
const (
	headerKey      = "Idempotency-Key"
	headerReplayed = "Idempotent-Replayed"
)

// idempotencyKey is the value of an Idempotency-Key header.
type idempotencyKey string

// Schema says what an Idempotency-Key may be: a string of RFC 9651, or what stands in it, as many clients send it.
func (idempotencyKey) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: `^("[!#-\[\]-~]{1,255}"|[!#-\[\]-~]{1,255})$`,
		PatternDescription: "1 to 255 visible ASCII characters but \" and \\, with or without quotes around them",
		Description: "Names the request, best by a random UUID, so that it can be repeated: it is done once, and a repetition gets the answer " +
			"that it got, with Idempotent-Replayed: true. Only requests that changed something are remembered, for 24 hours at least.",
	}
}

// name returns the key without its quotes, "" where there is none.
func (k idempotencyKey) name() string { return strings.Trim(string(k), `"`) }

// claims are the keys of requests that this process is handling. Whether another process handles one, the database tells.
type claims struct {
	mu   sync.Mutex
	keys map[string]bool
}

// take claims the key and returns whether nobody else had. The key is free again when release is called.
func (c *claims) take(key string) (release func(), taken bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.keys[key] {
		return nil, false
	}
	c.keys[key] = true
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.keys, key)
	}, true
}
