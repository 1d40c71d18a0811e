package faultproxy_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/runtimetest"
	"github.com/millrace/millrace/runtime/runtimetest/faultproxy"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heartbeat is a request that any broker answers and whose arrival the embedded one tells.
const heartbeat = int16(12)

// bundle is a broker behind a proxy.
type bundle struct {
	*faultproxy.Proxy

	broker *runtimetest.Broker
	// arrived counts the heartbeats that the broker has seen.
	arrived atomic.Int32
}

func setup(t *testing.T) *bundle {
	t.Helper()
	b := &bundle{broker: runtimetest.Kafka(t, nil)}
	b.broker.Embedded(t).ControlKey(heartbeat, func(kmsg.Request) (kmsg.Response, error, bool) {
		b.arrived.Add(1)
		b.broker.Embedded(t).KeepControl()
		return nil, nil, false
	})
	b.Proxy = listen(t, b.broker.Addrs[0])
	return b
}

func listen(t *testing.T, upstream string) *faultproxy.Proxy {
	t.Helper()
	proxy, err := faultproxy.Listen("127.0.0.1:0", upstream)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = proxy.Close() })
	return proxy
}

// client returns a client whose every connection goes through the proxy.
func (b *bundle) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kgo.NewClient(append(opts,
		kgo.SeedBrokers(b.Addr()),
		kgo.RetryBackoffFn(func(int) time.Duration { return 10 * time.Millisecond }),
		kgo.Dialer(func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, b.Addr())
		}),
	)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// ping sends a heartbeat, once, and waits for its answer.
func ping(ctx context.Context, client *kgo.Client) error {
	request := kmsg.NewPtrHeartbeatRequest()
	request.Group = "nobody"
	_, err := client.Broker(0).Request(ctx, request)
	return err
}

// mustPing sends heartbeats until one is answered, as a client does that loses its connection.
func mustPing(t *testing.T, client *kgo.Client) {
	t.Helper()
	runtimetest.Eventually(t, "an answer", func() bool { return ping(t.Context(), client) == nil })
}

func TestCarries(t *testing.T) {
	t.Parallel()
	b := setup(t)
	topic := b.broker.NewTopic(t, 1)
	client := b.client(t, kgo.ConsumeTopics(topic))
	// Larger than the buffers of both sockets.
	value := make([]byte, 900<<10)
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if got := client.PollFetches(t.Context()).Records(); len(got) != 1 || len(got[0].Value) != len(value) {
		t.Errorf("read %d records, want the one that was written", len(got))
	}
	if n := b.Connections(); n == 0 {
		t.Error("no connection of the client went through the proxy")
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	b := setup(t)
	direct, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer direct.Close()
	if err := direct.SetDeadline(time.Now().Add(runtimetest.Patience)); err != nil {
		t.Fatal(err)
	}
	runtimetest.Eventually(t, "the connection", func() bool { return b.Connections() == 1 })
	client := b.client(t)
	mustPing(t, client)
	runtimetest.Eventually(t, "another connection", func() bool { return b.Connections() >= 2 })
	before := b.Connections()
	if n := b.Cut(); n != before {
		t.Errorf("cut %d connections, want all %d", n, before)
	}
	if _, err := direct.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end of the connection", err)
	}
	runtimetest.Eventually(t, "the cut connections to be gone", func() bool { return b.Connections() == 0 })
	mustPing(t, b.client(t))
}

func TestDelay(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client := b.client(t)
	mustPing(t, client)

	const delay = 150 * time.Millisecond
	b.Delay(delay)
	began := time.Now()
	mustPing(t, client)
	if took := time.Since(began); took < delay {
		t.Errorf("a round trip took %s, want at least %s", took, delay)
	}
	b.Delay(0)
	began = time.Now()
	mustPing(t, client)
	if took := time.Since(began); took >= delay {
		t.Errorf("a round trip took %s after the delay was taken back", took)
	}
}

func TestHalfOpen(t *testing.T) {
	t.Parallel()
	b := setup(t)
	client := b.client(t)
	mustPing(t, client)

	restore, restoreOther := b.HalfOpen(), b.HalfOpen()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := ping(ctx, client); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want no answer", err)
	}
	connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Addr())
	if err != nil {
		t.Fatalf("a half-open network accepts connections: %v", err)
	}
	defer connection.Close()
	restore()
	restore()
	if n := b.arrived.Load(); n != 1 {
		t.Errorf("%d requests arrived, want the first only", n)
	}
	restoreOther()
	// The second was given up by its client, and arrives all the same.
	runtimetest.Eventually(t, "the request that waited", func() bool { return b.arrived.Load() == 2 })
	mustPing(t, client)
}

// TestHalfOpenHidesTheEnd shows that a client learns of a broker's end only when the network is whole again.
func TestHalfOpenHidesTheEnd(t *testing.T) {
	t.Parallel()
	broker, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	proxy := listen(t, broker.Addr().String())
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", proxy.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := broker.Accept()
	if err != nil {
		t.Fatal(err)
	}
	restore := proxy.HalfOpen()
	server.Close()

	if err := client.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	var late net.Error
	if _, err := client.Read(make([]byte, 1)); !errors.As(err, &late) || !late.Timeout() {
		t.Errorf("the client reads %v, want nothing at all", err)
	}
	restore()
	if err := client.SetReadDeadline(time.Now().Add(runtimetest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the client reads %v, want the end of the connection", err)
	}
}

func TestNoBroker(t *testing.T) {
	t.Parallel()
	// A port that was free a moment ago.
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	client, err := new(net.Dialer).DialContext(t.Context(), "tcp", listen(t, free.Addr().String()).Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection carries something, want its end")
	}
}

func TestForeignProtocol(t *testing.T) {
	t.Parallel()
	tests := map[string][]byte{
		"HTTP":      []byte("GET / HTTP/1.1\r\nHost: kafka\r\n\r\n"),
		"too short": binary.BigEndian.AppendUint32(nil, 7),
		"negative":  binary.BigEndian.AppendUint32(nil, 1<<31),
		"too long":  binary.BigEndian.AppendUint32(nil, 100<<20+1),
	}
	b := setup(t)
	for name, sent := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			client, err := new(net.Dialer).DialContext(t.Context(), "tcp", b.Addr())
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.Write(sent); err != nil {
				t.Fatal(err)
			}
			if _, err := client.Read(make([]byte, 1)); err == nil {
				t.Error("the connection carries something, want its end")
			}
		})
	}
}

func TestListenErrors(t *testing.T) {
	t.Parallel()
	proxy := listen(t, "127.0.0.1:1")
	if _, err := faultproxy.Listen(proxy.Addr(), "127.0.0.1:1"); err == nil {
		t.Error("a second proxy got the address of the first")
	}
}

// TestClose ends a proxy in which everything waits; goleak sees what is left.
func TestClose(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	proxy := listen(t, cluster.ListenAddrs()[0])
	b := &bundle{Proxy: proxy}
	mustPing(t, b.client(t))

	held := proxy.Hold(faultproxy.Keys(heartbeat))
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { _ = ping(ctx, b.client(t)) }()
	<-held.Taken()
	proxy.Delay(time.Hour)
	restore := proxy.HalfOpen()
	defer restore()
	if err := proxy.Close(); err != nil {
		t.Error(err)
	}
	if err := held.Release(t.Context()); !errors.Is(err, faultproxy.ErrLost) {
		t.Errorf("release of what is lost: %v", err)
	}
	if err := proxy.Close(); err != nil {
		t.Errorf("the second Close: %v", err)
	}
}
