package consumergroup

import (
	"testing"
	"time"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

// TestAJoinOutlastsARebalance has the client wait for the answer to JoinGroup as long as the broker may take for it. With
// sarama's 30 s, a member that nobody else joined lost all its partitions every 30 s.
func TestAJoinOutlastsARebalance(t *testing.T) {
	t.Parallel()
	for rebalance, want := range map[time.Duration]time.Duration{
		10 * time.Second: 30 * time.Second,
		time.Minute:      65 * time.Second,
	} {
		c := Config{Rebalance: rebalance, SessionTimeout: 45 * time.Second, Heartbeat: 3 * time.Second}
		s, err := c.sarama(&kafkaclient.Config{Brokers: []string{"localhost:9092"}}, "group")
		if err != nil {
			t.Fatal(err)
		}
		if s.Net.ReadTimeout != want {
			t.Errorf("with a rebalance of %s the client waits %s, want %s", rebalance, s.Net.ReadTimeout, want)
		}
	}
}
