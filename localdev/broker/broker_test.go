package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// childDir names the data folder of the process that a test kills: see TestKilledBrokerKeepsWhatItAcknowledged.
const childDir = "MILLRACE_TEST_BROKER_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		runChild(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

func runChild(dir string) {
	b, err := broker.Start(context.Background(), &broker.Options{Port: broker.AnyPort, DataDir: dir})
	if err != nil {
		fmt.Println("error", err)
		return
	}
	fmt.Println(b.Addr())
	select {}
}

func start(t *testing.T, o broker.Options) *broker.Broker {
	t.Helper()
	o.Port = broker.AnyPort
	b, err := broker.Start(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func connect(t *testing.T, addr string, opts ...kgo.Opt) *cluster.Client {
	t.Helper()
	client, err := cluster.Connect(t.Context(), kafkaclient.Config{Brokers: []string{addr}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func produce(t *testing.T, addr string, values ...string) {
	t.Helper()
	client := connect(t, addr)
	for _, v := range values {
		record := &kgo.Record{Topic: "order-events", Key: []byte("k"), Value: []byte(v)}
		if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

func consume(t *testing.T, addr string, n int) []string {
	t.Helper()
	client := connect(t, addr, kgo.ConsumeTopics("order-events"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var values []string
	for len(values) < n && ctx.Err() == nil {
		for _, r := range client.PollFetches(ctx).Records() {
			values = append(values, string(r.Value))
		}
	}
	return values
}

func TestStartCreatesTheTopicsOfTheList(t *testing.T) {
	t.Parallel()
	b := start(t, broker.Options{})
	infos, err := connect(t, b.Addr()).Topics(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]cluster.TopicInfo{}
	for _, info := range infos {
		got[info.Name] = info
	}
	want := map[string]cluster.TopicInfo{}
	for _, topic := range infra.Topics() {
		want[topic.Name] = cluster.TopicInfo{
			Name: topic.Name, Partitions: int(topic.Partitions), Cleanup: topic.Cleanup, Retention: topic.Retention,
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestTopicsAreNotCreatedByUse(t *testing.T) {
	t.Parallel()
	b := start(t, broker.Options{})
	client := connect(t, b.Addr(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(1))
	err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "oder-events", Value: []byte("x")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("got %v, want unknown topic", err)
	}
}

func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	port := taken.Addr().(*net.TCPAddr).Port
	_, err = broker.Start(t.Context(), &broker.Options{Port: port, DataDir: t.TempDir()})
	var inUse *broker.PortInUseError
	if !errors.As(err, &inUse) {
		t.Fatalf("got %v, want PortInUseError", err)
	}
	if want := "127.0.0.1:" + strconv.Itoa(port); inUse.Addr != want {
		t.Errorf("address %s, want %s", inUse.Addr, want)
	}
}

func TestPortInUseLeavesTheFolderFree(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	dir := t.TempDir()
	if _, err := broker.Start(t.Context(), &broker.Options{Port: taken.Addr().(*net.TCPAddr).Port, DataDir: dir}); err == nil {
		t.Fatal("started on a port in use")
	}
	start(t, broker.Options{DataDir: dir})
}

func TestLocalhostReachesItOverBothProtocols(t *testing.T) {
	t.Parallel()
	if conn, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("this machine has no IPv6 loopback")
	} else {
		conn.Close()
	}
	b := start(t, broker.Options{})
	_, port, err := net.SplitHostPort(b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"127.0.0.1", "::1"} {
		connect(t, net.JoinHostPort(host, port))
	}
}

func TestFolderHasOneOwner(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	start(t, broker.Options{DataDir: dir})
	_, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort, DataDir: dir})
	var inUse *broker.DataInUseError
	if !errors.As(err, &inUse) || inUse.Dir != dir {
		t.Errorf("got %v, want DataInUseError of %s", err, dir)
	}
}

func TestFolderThatIsAFile(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort, DataDir: name})
	if err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}

func TestFolderKeepsTopicsAndRecords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := []infra.Topic{{Name: "order-events", Partitions: 2, Cleanup: infra.CleanupCompact}}
	b := start(t, broker.Options{DataDir: dir, Topics: first})
	produce(t, b.Addr(), "one", "two")
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	again := start(t, broker.Options{DataDir: dir})
	want := []cluster.Difference{{Topic: "order-events", Want: 3, Got: 2}}
	if diff := cmp.Diff(want, again.Ensured().Differing); diff != "" {
		t.Error(diff)
	}
	if n := len(again.Ensured().Created); n != len(infra.Topics())-1 {
		t.Errorf("%d topics created, want those that were missing", n)
	}
	if diff := cmp.Diff([]string{"one", "two"}, consume(t, again.Addr(), 2)); diff != "" {
		t.Error(diff)
	}
}

func TestKilledBrokerKeepsWhatItAcknowledged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	child, addr := startChild(t, dir)
	produce(t, addr, "one", "two", "three")
	group := kadm.Offsets{}
	group.AddOffset("order-events", 0, 7, -1)
	if err := connect(t, addr).Admin.CommitAllOffsets(t.Context(), "g", group); err != nil {
		t.Fatal(err)
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait()

	b := start(t, broker.Options{DataDir: dir})
	if diff := cmp.Diff([]string{"one", "two", "three"}, consume(t, b.Addr(), 3)); diff != "" {
		t.Error(diff)
	}
	committed, err := connect(t, b.Addr()).Admin.FetchOffsets(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	if at, _ := committed.Lookup("order-events", 0); at.At != 7 {
		t.Errorf("the group's offset is %d, want 7", at.At)
	}
}

func startChild(t *testing.T, dir string) (child *exec.Cmd, addr string) {
	t.Helper()
	child = exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childDir+"="+dir)
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = child.Process.Kill() })
	line := make([]byte, 200)
	n, err := out.Read(line)
	if err != nil {
		t.Fatal(err)
	}
	return child, string(bytes.TrimSpace(line[:n]))
}
