package redis_test

import (
	"testing"

	client "github.com/redis/go-redis/v9"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/runtimetest/redis"
)

var shared redis.Shared

// tests are those of the package, with the server that they share.
type tests struct{ *testing.M }

func (m tests) Run() int {
	defer shared.Stop()
	return m.M.Run()
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(tests{m}) }

func open(t *testing.T, url string) *client.Client {
	t.Helper()
	options, err := client.ParseURL(url)
	if err != nil {
		t.Fatal(err)
	}
	c := client.NewClient(options)
	t.Cleanup(func() { c.Close() })
	return c
}

func TestEachTestHasADatabaseOfItsOwn(t *testing.T) {
	t.Parallel()
	for range 2 {
		c := open(t, shared.Database(t))
		if n, err := c.Incr(t.Context(), "n").Result(); err != nil || n != 1 {
			t.Errorf("counted %d, %v", n, err)
		}
	}
}

func TestRestartKeepsWhatWasWritten(t *testing.T) {
	t.Parallel()
	server := redis.Start(t)
	url := server.Database(t)
	if err := open(t, url).Set(t.Context(), "kept", "42", 0).Err(); err != nil {
		t.Fatal(err)
	}
	server.Restart(t)
	if got, err := open(t, url).Get(t.Context(), "kept").Result(); err != nil || got != "42" {
		t.Errorf("read %q, %v after a restart", got, err)
	}
}
