package boot

import (
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

// pipes is a dialer whose other ends nobody holds.
type pipes struct{}

func (pipes) Dial(string, string) (net.Conn, error) {
	here, _ := net.Pipe()
	return here, nil
}

// isOpen tells whether a connection is open: one that is waits for its deadline.
func isOpen(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(time.Nanosecond)); err != nil {
		return false
	}
	_, err := c.Read(make([]byte, 1))
	timeout, ok := err.(net.Error) //nolint:errorlint // the connection's own error
	return ok && timeout.Timeout()
}

func TestConnectionsAreMadeAnewAfterALongSleep(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		sleep time.Duration
		open  bool
	}{
		"a minute":              {longestSleep, true},
		"longer than a minute":  {longestSleep + time.Millisecond, false},
		"the night":             {8 * time.Hour, false},
		"between two in a rush": {0, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := &lambdaDoor{connections: kafkaclient.NewConnections(), awake: now()}
				conf := sarama.NewConfig()
				conf.Net.Proxy.Enable, conf.Net.Proxy.Dialer = true, pipes{}
				d.connections.Observe(conf)
				c, err := conf.Net.Proxy.Dialer.Dial("tcp", "broker:9092")
				if err != nil {
					t.Fatal(err)
				}
				defer c.Close()
				time.Sleep(test.sleep)
				d.thaw()
				if got := isOpen(t, c); got != test.open {
					t.Errorf("the connection is open: %t, want %t", got, test.open)
				}
			})
		})
	}
}
