package kafkaclient_test

import (
	"errors"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/IBM/sarama"
	"github.com/twmb/franz-go/pkg/kfake"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	// The metrics library below sarama keeps one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// connect returns the error of Connect, and the time it took.
func connect(t *testing.T, c kafkaclient.Config) (took time.Duration, err error) {
	t.Helper()
	conf, err := c.Sarama("test")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	client, err := c.Connect(conf)
	took = time.Since(start)
	if err == nil {
		t.Cleanup(func() {
			if err := client.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return took, err
}

func mustHold(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that holds %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not hold %q", err, word)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("more than one line: %q", err)
	}
}

func TestConnect(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	if _, err := connect(t, kafkaclient.Config{Brokers: broker.Addrs}); err != nil {
		t.Error(err)
	}
}

func TestConnectPassesDeadBrokers(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	addrs := append([]string{refusedAddr(t)}, broker.Addrs...)
	if _, err := connect(t, kafkaclient.Config{Brokers: addrs}); err != nil {
		t.Error(err)
	}
}

func TestConnectRefused(t *testing.T) {
	t.Parallel()
	addr := refusedAddr(t)
	took, err := connect(t, kafkaclient.Config{Brokers: []string{addr}})
	mustHold(t, err, addr, "no broker listens", "make run", "KAFKA_BROKERS")
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("%v does not wrap the cause", err)
	}
	if took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestConnectNamesEachBroker(t *testing.T) {
	t.Parallel()
	one, two := refusedAddr(t), refusedAddr(t)
	_, err := connect(t, kafkaclient.Config{Brokers: []string{one, two}})
	if err == nil || !strings.Contains(err.Error(), one) || !strings.Contains(err.Error(), two) {
		t.Errorf("%v does not name %s and %s", err, one, two)
	}
}

func TestConnectSilent(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	silent := listener.Addr().String()
	// The kernel accepts the connection; nobody answers until the listener's end resets it.
	t.Cleanup(func() { _ = listener.Close() })

	took, err := connect(t, kafkaclient.Config{Brokers: []string{silent}})
	mustHold(t, err, silent, "no answer", "KAFKA_BROKERS")
	if took > 5*time.Second {
		t.Errorf("took %s, want less than 5 s", took)
	}
}

func TestConnectSASL(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			t.Parallel()
			addrs := embedded(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "user", "right-canary"))
			c := kafkaclient.Config{Brokers: addrs, SASLMechanism: mechanism, SASLUsername: "user", SASLPassword: config.NewSecret("right-canary")}
			if _, err := connect(t, c); err != nil {
				t.Error(err)
			}

			c.SASLPassword = config.NewSecret("wrong-canary")
			_, err := connect(t, c)
			mustHold(t, err, addrs[0], "KAFKA_SASL_PASSWORD", "KAFKA_SASL_USERNAME")
			if strings.Contains(err.Error(), "canary") {
				t.Errorf("the password is in %q", err)
			}

			_, err = connect(t, kafkaclient.Config{Brokers: addrs})
			mustHold(t, err, addrs[0], "KAFKA_SASL_MECHANISM")
		})
	}
}

// TestASCRAMPasswordIsTakenAsItIs: brokers do not prepare passwords (RFC 4013), which would make an a of the ª.
func TestASCRAMPasswordIsTakenAsItIs(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		addrs := embedded(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "user", "pª ss,=word"))
		c := kafkaclient.Config{Brokers: addrs, SASLMechanism: mechanism, SASLUsername: "user", SASLPassword: config.NewSecret("pª ss,=word")}
		if _, err := connect(t, c); err != nil {
			t.Error(err)
		}
	}
}

func TestConnectOtherMechanism(t *testing.T) {
	t.Parallel()
	addrs := embedded(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "user", "right"))
	_, err := connect(t, kafkaclient.Config{
		Brokers: addrs, SASLMechanism: "SCRAM-SHA-512", SASLUsername: "user", SASLPassword: config.NewSecret("right"),
	})
	mustHold(t, err, addrs[0], "KAFKA_SASL")
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	broker := runtimetest.Kafka(t, nil)
	topic := broker.NewTopic(t, 3)
	admin, err := kafkaclient.Config{Brokers: broker.Addrs}.Admin()
	if err != nil {
		t.Fatal(err)
	}
	topics, err := admin.DescribeTopics([]string{topic})
	if err != nil || len(topics) != 1 || len(topics[0].Partitions) != 3 {
		t.Errorf("described as %v, %v", topics, err)
	}
	if err := admin.Close(); err != nil {
		t.Error(err)
	}
}

func TestAdminRefused(t *testing.T) {
	t.Parallel()
	addr := refusedAddr(t)
	_, err := kafkaclient.Config{Brokers: []string{addr}}.Admin()
	mustHold(t, err, addr, "no broker listens")
	if _, err = (kafkaclient.Config{}).Admin(); err == nil {
		t.Error("no brokers, no error")
	}
}

func TestExplain(t *testing.T) {
	t.Parallel()
	brokers := []string{"kafka-1:9092", "kafka-2:9092"}
	if err := kafkaclient.Explain(nil, brokers); err != nil {
		t.Errorf("nil became %v", err)
	}
	for name, test := range map[string]struct {
		err  error
		want string
	}{
		"credentials":  {sarama.Wrap(sarama.ErrSASLAuthenticationFailed, errors.New("nope")), "KAFKA_SASL_PASSWORD"},
		"mechanism":    {sarama.ErrUnsupportedSASLMechanism, "KAFKA_SASL_MECHANISM"},
		"unknown name": {sarama.Wrap(sarama.ErrOutOfBrokers, &net.DNSError{Err: "no such host", Name: "kafka-1", IsNotFound: true}), "not known"},
		"slow name":    {&net.DNSError{Err: "timeout", Name: "kafka-1", IsTimeout: true}, "no answer"},
		"reset":        {sarama.Wrap(sarama.ErrOutOfBrokers, syscall.ECONNRESET), "closed the connection"},
		"other":        {errors.New("first\nsecond"), "first; second"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := kafkaclient.Explain(test.err, brokers)
			mustHold(t, err, "kafka-1:9092, kafka-2:9092", test.want)
			if !errors.Is(err, test.err) {
				t.Errorf("%v does not wrap %v", err, test.err)
			}
		})
	}
}

// embedded starts a broker with settings of its own and returns its addresses.
func embedded(t *testing.T, opts ...kfake.Opt) []string {
	t.Helper()
	cluster, err := kfake.NewCluster(append(opts, kfake.NumBrokers(1))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster.ListenAddrs()
}

func port(t *testing.T, addr string) string {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// refusedAddr returns an address on which nobody listens.
func refusedAddr(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	return addr
}
