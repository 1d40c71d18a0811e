package cluster_test

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func at(brokers ...string) kafkaclient.Config { return kafkaclient.Config{Brokers: brokers} }

func connect(t *testing.T) *cluster.Client {
	t.Helper()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(kafka.Close)
	client, err := cluster.Connect(t.Context(), at(kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func TestEnsureTopics(t *testing.T) {
	t.Parallel()
	client := connect(t)
	list := []infra.Topic{
		{Name: "a", Partitions: 3, Cleanup: infra.CleanupDelete, Retention: time.Hour},
		{Name: "b", Partitions: 1, Cleanup: infra.CleanupCompact},
	}
	for _, step := range []struct {
		name string
		list []infra.Topic
		want cluster.Ensured
	}{
		{"creates what is missing", list, cluster.Ensured{Created: []string{"a", "b"}}},
		{"does nothing twice", list, cluster.Ensured{}},
		{
			"reports what differs, and leaves it",
			[]infra.Topic{{Name: "a", Partitions: 5, Cleanup: infra.CleanupCompact}},
			cluster.Ensured{Differing: []cluster.Difference{{Topic: "a", Want: 5, Got: 3}}},
		},
	} {
		got, err := client.EnsureTopics(t.Context(), step.list)
		if err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("%s: %s", step.name, diff)
		}
	}
	infos, err := client.Topics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []cluster.TopicInfo{
		{Name: "a", Partitions: 3, Cleanup: "delete", Retention: time.Hour},
		{Name: "b", Partitions: 1, Cleanup: "compact"},
	}
	if diff := cmp.Diff(want, infos); diff != "" {
		t.Error(diff)
	}
}

func TestTopicsOfAnEmptyCluster(t *testing.T) {
	t.Parallel()
	if infos, err := connect(t).Topics(t.Context()); err != nil || len(infos) != 0 {
		t.Errorf("got %v, %v", infos, err)
	}
}

func TestRecordsAreCounted(t *testing.T) {
	t.Parallel()
	client := connect(t)
	if _, err := client.EnsureTopics(t.Context(), []infra.Topic{{Name: "a", Partitions: 2, Cleanup: "compact"}}); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"k1", "k2", "k3", "k4"} {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "a", Key: []byte(key)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	infos, err := client.Topics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if infos[0].Records != 4 {
		t.Errorf("%d records, want 4", infos[0].Records)
	}
}

func TestCheckTopic(t *testing.T) {
	t.Parallel()
	client := connect(t)
	if _, err := client.EnsureTopics(t.Context(), infra.Topics()); err != nil {
		t.Fatal(err)
	}
	if err := client.CheckTopic(t.Context(), "order-events"); err != nil {
		t.Error(err)
	}
	err := client.CheckTopic(t.Context(), "oders-events")
	var unknown *cluster.UnknownTopicError
	if !errors.As(err, &unknown) {
		t.Fatalf("got %v", err)
	}
	if want := []string{"order-events", "user-events", "audit-events"}; !slices.Equal(unknown.Closest, want) {
		t.Errorf("closest are %v, want %v", unknown.Closest, want)
	}
}

// deaf accepts connections and never answers.
func deaf(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestUnreachableNamesAddressAndCause(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ addr, want string }{
		"nobody listens": {"127.0.0.1:1", "connection refused"},
		"no answer":      {deaf(t), "no answer within 4s"},
		"no such host":   {"nowhere.invalid:9092", "nowhere.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			begin := time.Now()
			_, err := cluster.Connect(t.Context(), at(test.addr))
			if _, ok := errors.AsType[*cluster.UnreachableError](err); !ok {
				t.Fatalf("got %v, want UnreachableError", err)
			}
			for _, want := range []string{test.addr, test.want} {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
			if took := time.Since(begin); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser(mechanism, "user", "right"))
		if err != nil {
			t.Fatal(err)
		}
		defer kafka.Close()
		conf := at(kafka.ListenAddrs()...)
		conf.SASLMechanism, conf.SASLUsername, conf.SASLPassword = mechanism, "user", config.NewSecret("right")
		client, err := cluster.Connect(t.Context(), conf)
		if err != nil {
			t.Errorf("%s: %v", mechanism, err)
			continue
		}
		client.Close()
		conf.SASLPassword = config.NewSecret("canary")
		_, err = cluster.Connect(t.Context(), conf)
		var unreachable *cluster.UnreachableError
		if !errors.As(err, &unreachable) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s with a wrong password: got %v", mechanism, err)
		}
	}
}

func TestTLS(t *testing.T) {
	t.Parallel()
	site := httptest.NewTLSServer(nil)
	defer site.Close()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.TLS(&tls.Config{Certificates: site.TLS.Certificates}))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	conf := at(kafka.ListenAddrs()...)
	conf.TLS = true
	if _, err := cluster.Connect(t.Context(), conf); err == nil || !strings.Contains(err.Error(), "unknown authority") {
		t.Errorf("a certificate that nobody vouches for: got %v", err)
	}
	conf.TLSCAFile = filepath.Join(t.TempDir(), "ca.pem")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: site.Certificate().Raw})
	if err := os.WriteFile(conf.TLSCAFile, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	client, err := cluster.Connect(t.Context(), conf)
	if err != nil {
		t.Fatal(err)
	}
	client.Close()
}

func TestConfigIsChecked(t *testing.T) {
	t.Parallel()
	if _, err := cluster.Connect(t.Context(), at("nowhere")); err == nil || !strings.Contains(err.Error(), "KAFKA_BROKERS") {
		t.Errorf("got %v", err)
	}
}

func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := cluster.Connect(ctx, at(deaf(t))); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestABrokerThatGoesAwayIsUnreachable(t *testing.T) {
	t.Parallel()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	client, err := cluster.Connect(t.Context(), at(kafka.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	kafka.Close()
	begin := time.Now()
	_, err = client.Topics(t.Context())
	if _, ok := errors.AsType[*cluster.UnreachableError](err); !ok {
		t.Errorf("got %v, want UnreachableError", err)
	}
	if took := time.Since(begin); took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
}

func TestClosest(t *testing.T) {
	t.Parallel()
	names := []string{"user-events", "order-events", "dead-letter-queue", "audit-events"}
	for name, want := range map[string][]string{
		"oder-event":  {"order-events", "user-events"},
		"DEAD-LETTER": {"dead-letter-queue", "order-events"},
	} {
		if diff := cmp.Diff(want, cluster.Closest(name, names, 2)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := cluster.Closest("x", nil, 3); len(got) != 0 {
		t.Errorf("closest of nothing: %v", got)
	}
}
