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
)

// Each step is one script, which Redis runs without others in between. An entry is a hash with the fields state, token and
// outcome; leases and retention are its time to live, by the server's clock.
var (
	//go:embed redis_claim.lua
	claimSource string
	//go:embed redis_complete.lua
	completeSource string
	//go:embed redis_published.lua
	publishedSource string
	//go:embed redis_release.lua
	releaseSource string

	claimScript     = redis.NewScript(claimSource)
	completeScript  = redis.NewScript(completeSource)
	publishedScript = redis.NewScript(publishedSource)
	releaseScript   = redis.NewScript(releaseSource)
)

// Redis is a Store in a Redis server, or one that speaks its protocol. Its keys begin with "millrace:idempotency:".
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

func redisKey(key Key) []string {
	return []string{"millrace:idempotency:" + key.Function + ":" + hex.EncodeToString(key.sum())}
}

// Claim implements [Store].
func (r *Redis) Claim(ctx context.Context, key Key, token Token, lease time.Duration) (Entry, error) {
	answer, err := claimScript.Run(ctx, r.client, redisKey(key), token.String(), lease.Milliseconds()).Slice()
	if errors.Is(err, redis.ErrPoolTimeout) {
		return Entry{}, ErrBusy
	}
	if err != nil {
		return Entry{}, err
	}
	state, remaining, outcome, err := readAnswer(answer)
	switch {
	case err != nil:
		return Entry{}, err
	case state != Claimed:
		return Entry{State: state, Outcome: outcome}, nil
	case remaining > 0:
		return Entry{}, &HeldError{Key: key, Remaining: remaining}
	}
	return Entry{State: Claimed}, nil
}

// readAnswer reads what the script of a claim returns: the state, how long another's claim still lasts (0 where it is
// ours), and the outcome where there is one.
func readAnswer(answer []any) (state State, remaining time.Duration, outcome []byte, err error) {
	if len(answer) < 2 {
		return 0, 0, nil, fmt.Errorf("the script of a claim answered with %d values", len(answer))
	}
	number, ok := answer[0].(int64)
	milliseconds, also := answer[1].(int64)
	if !ok || !also {
		return 0, 0, nil, fmt.Errorf("the script of a claim answered with %T and %T", answer[0], answer[1])
	}
	if len(answer) > 2 {
		text, _ := answer[2].(string)
		outcome = []byte(text)
	}
	return State(number), time.Duration(milliseconds) * time.Millisecond, outcome, nil
}

// Complete implements [Store].
func (r *Redis) Complete(ctx context.Context, key Key, token Token, outcome []byte) error {
	args := []any{token.String(), r.retention.Milliseconds()}
	if outcome != nil {
		args = append(args, outcome)
	}
	kept, err := completeScript.Run(ctx, r.client, redisKey(key), args...).Bool()
	if err == nil && !kept {
		return ErrLost
	}
	return err
}

// Published implements [Store].
func (r *Redis) Published(ctx context.Context, key Key) error {
	return publishedScript.Run(ctx, r.client, redisKey(key)).Err()
}

// Release implements [Store].
func (r *Redis) Release(ctx context.Context, key Key, token Token) error {
	return releaseScript.Run(ctx, r.client, redisKey(key), token.String()).Err()
}

// Close implements [Store].
func (r *Redis) Close() error { return r.client.Close() }
