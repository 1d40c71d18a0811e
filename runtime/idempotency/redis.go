//go:build !noredis

package idempotency

import (
	"context"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/millrace/millrace/runtime/database"
)

// Each step is one script, which Redis runs without others in between. An entry is a hash with the fields state, token and
// outcome; leases and retention are its time to live, by the server's clock. The attempts at an event that is not completed
// are a hash of their own, which outlives the lease: failed, crashed, first (the time of the first failure) and token, that
// of the last claim until it is released.
var (
	//go:embed redis_claim.lua
	claimSource string
	//go:embed redis_complete.lua
	completeSource string
	//go:embed redis_published.lua
	publishedSource string
	//go:embed redis_release.lua
	releaseSource string
	//go:embed redis_forget.lua
	forgetSource string

	claimScript     = redis.NewScript(claimSource)
	completeScript  = redis.NewScript(completeSource)
	publishedScript = redis.NewScript(publishedSource)
	releaseScript   = redis.NewScript(releaseSource)
	forgetScript    = redis.NewScript(forgetSource)
)

// connectTimeout bounds how long Redis may take to answer when a process starts.
const connectTimeout = 5 * time.Second

// Redis is a Store in a Redis server, or one that speaks its protocol. Its keys begin with "millrace:idempotency:" and
// "{millrace:idempotency:".
type Redis struct {
	client    *redis.Client
	retention time.Duration
}

// OpenRedis returns the Store in the Redis of a URL, redis://user:password@host:6379/0, rediss:// with TLS, over at most
// the given number of connections.
func OpenRedis(ctx context.Context, url string, connections int, retention time.Duration) (*Redis, error) {
	o, err := parseRedis(url)
	if err != nil {
		return nil, err
	}
	o.PoolSize, o.MaxActiveConns, o.PoolTimeout = connections, connections, freeTimeout
	o.DialTimeout, o.ContextTimeoutEnabled = connectTimeout, true
	// Neither is understood by servers that merely speak the protocol.
	o.DisableIdentity = true
	o.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	// The client's own log would go past the program's, to standard error. What it tells comes back as errors, too.
	logging.Disable()
	r := &Redis{client: redis.NewClient(o), retention: retention}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := r.client.Ping(ctx).Err(); err != nil {
		return nil, errors.Join(fmt.Errorf("Redis at %s: %w", o.Addr, err), r.client.Close())
	}
	return r, nil
}

// parseRedis reads a URL. Its errors hold nothing of it.
func parseRedis(url string) (*redis.Options, error) {
	o, err := redis.ParseURL(url)
	if err != nil {
		return nil, errors.New("is no Redis URL such as rediss://user:password@host:6379/0")
	}
	return o, nil
}

// isPlaintextRedis tells whether url names a remote server without TLS, or with a certificate that nobody looks at.
func isPlaintextRedis(url string) (bool, error) {
	o, err := parseRedis(url)
	return err == nil && o.Network != "unix" && isRemoteAddress(o.Addr) && !database.IsVerified(o.TLSConfig), err
}

// redisKeys are the entry and its attempts. The braces keep both on one node of a cluster.
func redisKeys(key Key) []string {
	entry := "millrace:idempotency:" + key.Function + ":" + hex.EncodeToString(key.sum())
	return []string{entry, "{" + entry + "}:attempts"}
}

// Claim implements [Store].
func (r *Redis) Claim(ctx context.Context, key Key, token Token, lease time.Duration) (Entry, error) {
	answer, err := claimScript.Run(ctx, r.client, redisKeys(key), token.String(), lease.Milliseconds(), r.retention.Milliseconds()).Slice()
	if errors.Is(err, redis.ErrPoolTimeout) {
		return Entry{}, ErrBusy
	}
	if err != nil {
		return Entry{}, err
	}
	entry, remaining, err := readAnswer(answer)
	if err == nil && remaining > 0 {
		return Entry{}, &HeldError{Key: key, Remaining: remaining}
	}
	return entry, err
}

// readAnswer reads what the script of a claim returns, and how long another's claim still lasts (0 where it is ours).
func readAnswer(answer []any) (entry Entry, remaining time.Duration, err error) {
	var numbers [6]int64
	for i, value := range answer[:min(len(answer), len(numbers))] {
		switch value := value.(type) {
		case int64:
			numbers[i] = value
		case string:
			entry.Outcome = []byte(value)
		case nil: // no outcome
		default:
			return Entry{}, 0, fmt.Errorf("the script of a claim answered with a %T", value)
		}
	}
	entry.State = State(numbers[0])
	if entry.State < Claimed || entry.State > Published {
		return Entry{}, 0, fmt.Errorf("the script of a claim answered with state %d", entry.State)
	}
	entry.Past = past(numbers[3], numbers[4], numbers[5])
	return entry, time.Duration(numbers[1]) * time.Millisecond, nil
}

// Complete implements [Store].
func (r *Redis) Complete(ctx context.Context, key Key, token Token, outcome []byte) error {
	args := []any{token.String(), r.retention.Milliseconds()}
	if outcome != nil {
		args = append(args, outcome)
	}
	kept, err := completeScript.Run(ctx, r.client, redisKeys(key), args...).Bool()
	if err == nil && !kept {
		return ErrLost
	}
	return err
}

// Published implements [Store].
func (r *Redis) Published(ctx context.Context, key Key) error {
	return publishedScript.Run(ctx, r.client, redisKeys(key)[:1]).Err()
}

// Release implements [Store].
func (r *Redis) Release(ctx context.Context, key Key, token Token, end End) error {
	return releaseScript.Run(ctx, r.client, redisKeys(key), token.String(), end.String(), r.retention.Milliseconds()).Err()
}

// Forget implements [Store].
func (r *Redis) Forget(ctx context.Context, key Key) error {
	return forgetScript.Run(ctx, r.client, redisKeys(key)).Err()
}

// Close implements [Store].
func (r *Redis) Close() error { return r.client.Close() }
