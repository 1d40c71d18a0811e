package broker_test

import (
	"context"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/apachekafka/broker"
	"github.com/millrace/millrace/runtime/runtimetest/faultproxy"
)

// TestRestart writes by way of a proxy that the broker advertises, and finds everything after each restart.
func TestRestart(t *testing.T) {
	t.Parallel()
	if os.Getenv(runtimetest.AddressVariable) == "" {
		t.Skip("needs Java and Maven: make test-kafka runs it")
	}
	for _, command := range []string{"java", "mvn"} {
		if _, err := exec.LookPath(command); err != nil {
			t.Skip(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	addresses, err := broker.FreeAddresses(1)
	if err != nil {
		t.Fatal(err)
	}
	proxy, err := faultproxy.Listen("127.0.0.1:0", addresses[0])
	if err != nil {
		t.Fatal(err)
	}
	defer proxy.Close()
	kafka, err := broker.Start(ctx, &broker.Options{
		Listeners: []broker.Listener{{Address: addresses[0], Advertised: proxy.Addr()}},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()

	client, err := kgo.NewClient(kgo.SeedBrokers(proxy.Addr()), kgo.DefaultProduceTopic("kept"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, "kept"); err != nil {
		t.Fatal(err)
	}
	for i, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		if err := client.ProduceSync(ctx, kgo.StringRecord("value")).FirstErr(); err != nil {
			t.Fatalf("before %s: %v", signal, err)
		}
		if err := kafka.Stop(signal); err != nil {
			t.Fatal(err)
		}
		if err := kafka.Restart(ctx); err != nil {
			t.Fatalf("after %s: %v", signal, err)
		}
		ends, err := admin.ListEndOffsets(ctx, "kept")
		if err != nil {
			t.Fatal(err)
		}
		if end, _ := ends.Lookup("kept", 0); end.Offset != int64(i+1) {
			t.Errorf("%d records after %s, want %d", end.Offset, signal, i+1)
		}
	}
	if proxy.Connections() == 0 {
		t.Error("the client did not stay with the address that its listener advertises")
	}
}
