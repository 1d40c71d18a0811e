//go:build noredis

package idempotency

import (
	"context"
	"errors"
	"time"
)

// OpenRedis returns an error: the program was built without the client.
func OpenRedis(context.Context, string, int, time.Duration) (Store, error) {
	return nil, errors.New("this program was built without Redis: build it without the tag noredis")
}

func isPlaintextRedis(string) (bool, error) { return false, nil }
