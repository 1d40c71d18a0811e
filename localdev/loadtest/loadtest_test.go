package loadtest_test

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
	ordercreated "github.com/millrace/millrace/functions/order-created"
	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/loadtest"
	"github.com/millrace/millrace/localdev/records"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

func TestMain(m *testing.M) {
	// A dependency of sarama ticks for ever, once for the process.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

func kafka(t *testing.T) kafkaclient.Config {
	t.Helper()
	b, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return kafkaclient.Config{Brokers: []string{b.Addr()}}
}

// runFunction runs order-created on the cluster until the test ends.
func runFunction(t *testing.T, config kafkaclient.Config) {
	t.Helper()
	lookup := func(key string) (string, bool) {
		value, ok := map[string]string{"KAFKA_BROKERS": config.Brokers[0], "HTTP_ADDR": "off"}[key]
		return value, ok
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	started, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- boot.Run(ctx, lookup, []function.Spec{ordercreated.Spec}, &boot.Options{
			Log: slog.New(slog.DiscardHandler), Started: func() { close(started) },
		})
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
}

// Every order leads to exactly one notification, in a second run as in the first.
func TestEachOrderIsAnsweredOnce(t *testing.T) {
	t.Parallel()
	config := kafka(t)
	runFunction(t, config)
	var runs []string
	for _, o := range []*loadtest.Options{{Count: 2500}, {Count: 2500, Batch: 300, Concurrency: 4}} {
		var progress []int
		waited := false
		o.Progress = func(sent int) { progress = append(progress, sent) }
		o.Waiting = func(r loadtest.Result) { waited = r.Sent == 2500 }
		r, err := loadtest.Run(t.Context(), config, o)
		if err != nil {
			t.Fatal(err)
		}
		if r.Sent != 2500 || r.Matched != 2500 || r.Missing != 0 || r.Duplicates != 0 || r.Extra != 0 {
			t.Errorf("got %+v", r)
		}
		if r.P50 <= 0 || r.P50 > r.P95 || r.P95 > r.P99 || r.PerSecond() <= 0 || !waited {
			t.Errorf("got %+v", r)
		}
		if !slices.Equal(progress, []int{1000, 2000}) {
			t.Errorf("progress was %v", progress)
		}
		runs = append(runs, r.Run)
	}
	if runs[0] == runs[1] {
		t.Error("two runs have one name")
	}
}

func TestWithoutFunctionsEverythingIsMissing(t *testing.T) {
	t.Parallel()
	r, err := loadtest.Run(t.Context(), kafka(t), &loadtest.Options{Count: 10, Timeout: 50 * time.Millisecond})
	if err != nil || r.Sent != 10 || r.Missing != 10 || r.Matched != 0 || r.P99 != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
}

// The orders are those of the tutorial's script, and fit the schema.
func TestOrders(t *testing.T) {
	t.Parallel()
	config := kafka(t)
	r, err := loadtest.Run(t.Context(), config, &loadtest.Options{Count: 25, Batch: 10, Customers: 1, NoWait: true})
	if err != nil {
		t.Fatal(err)
	}
	list := read(t, config, order.Topic, 25)
	ids := map[string]bool{}
	for _, m := range list {
		e, err := text.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		if err := schemas.Validate(e.Type(), e.Data()); err != nil {
			t.Error(err)
		}
		if e.Type() != order.CreatedType || e.Source() != "/load-test" || string(m.Key) != e.Subject() ||
			!strings.HasPrefix(e.Subject(), "order-"+r.Run+"-") || !strings.Contains(string(e.Data()), `"customerId":"customer-0"`) {
			t.Errorf("key %s: %s", m.Key, e)
		}
		var names []string
		for _, h := range m.Headers {
			names = append(names, string(h.Key))
		}
		if diff := cmp.Diff([]string{"eventType", "timestamp"}, names); diff != "" {
			t.Error(diff)
		}
		ids[e.ID()] = true
	}
	if len(ids) != 25 {
		t.Errorf("%d different ids", len(ids))
	}
}

func read(t *testing.T, config kafkaclient.Config, topic string, n int) []kafkabinding.Message {
	t.Helper()
	client, reader := open(t, config, topic, records.All)
	defer client.Close()
	var list []kafkabinding.Message
	for len(list) < n {
		found, err := reader.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range found {
			list = append(list, r.Message)
		}
	}
	return list
}

func open(t *testing.T, config kafkaclient.Config, topic string, last int64) (*records.Client, *records.Reader) {
	t.Helper()
	client, err := records.Connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	reader, err := client.Read(t.Context(), topic, last)
	if err != nil {
		client.Close()
		t.Fatal(err)
	}
	return client, reader
}

// A consumer that answers some orders twice, in two ways, is found out.
func TestDuplicatesAndExtrasAreCounted(t *testing.T) {
	t.Parallel()
	config := kafka(t)
	client, reader := open(t, config, order.Topic, 0)
	defer client.Close()
	echoing := make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { echoing <- echo(ctx, client, reader) }()
	r, err := loadtest.Run(t.Context(), config, &loadtest.Options{Count: 3, Batch: 3})
	cancel()
	if err != nil || r.Matched != 3 || r.Duplicates != 1 || r.Extra != 1 || r.Missing != 0 {
		t.Errorf("got %+v, %v", r, err)
	}
	if err := <-echoing; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// echo answers each order, the first of them three times: twice under one id, once under another. The answers of the first
// come before those of the others.
func echo(ctx context.Context, client *records.Client, reader *records.Reader) error {
	seen := 0
	for {
		orders, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		var outs []records.Out
		for _, r := range orders {
			placed, err := text.Decode(r.Message)
			if err != nil {
				return err
			}
			outs = append(outs, answer(placed.ID(), "1"))
			if seen++; seen == 1 {
				outs = append(outs, answer(placed.ID(), "1"), answer(placed.ID(), "2"), answer("of somebody else", "1"))
			}
		}
		for _, w := range client.Write(ctx, outs...) {
			if w.Err != nil {
				return w.Err
			}
		}
	}
}

func answer(cause, suffix string) records.Out {
	m := kafkabinding.Message{Key: []byte("one partition")}
	for _, h := range [][2]string{
		{"ce_specversion", "1.0"}, {"ce_id", cause + suffix}, {"ce_source", "/echo"}, {"ce_type", notification.RequestedType},
		{"ce_causationid", cause},
	} {
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(h[0]), Value: []byte(h[1])})
	}
	return records.Out{Topic: notification.Topic, Message: m}
}

func TestRateBoundsTheSending(t *testing.T) {
	t.Parallel()
	r, err := loadtest.Run(t.Context(), kafka(t), &loadtest.Options{Count: 50, Batch: 10, Rate: 200, NoWait: true})
	if err != nil || r.Sent != 50 || r.Took < 200*time.Millisecond {
		t.Errorf("got %+v, %v: the last batch is due after 200 ms", r, err)
	}
}

func TestItEndsWithItsContext(t *testing.T) {
	t.Parallel()
	config := kafka(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for name, o := range map[string]*loadtest.Options{
		"while it waits": {Count: 1, Waiting: func(loadtest.Result) { cancel() }},
		"at the start":   {Count: 1},
	} {
		if name == "at the start" {
			cancel()
		}
		if _, err := loadtest.Run(ctx, config, o); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestTopicsAreLookedForFirst(t *testing.T) {
	t.Parallel()
	b, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort, Topics: nil})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	config := kafkaclient.Config{Brokers: []string{b.Addr()}}
	client, err := cluster.Connect(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for _, topic := range []string{notification.Topic, order.Topic} {
		if _, err := client.Admin.DeleteTopic(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		_, err := loadtest.Run(t.Context(), config, &loadtest.Options{Count: 1})
		var unknown *cluster.UnknownTopicError
		if !errors.As(err, &unknown) || unknown.Topic != topic {
			t.Errorf("without %s: got %v", topic, err)
		}
	}
}

func TestValidateNamesEverySetting(t *testing.T) {
	t.Parallel()
	err := (&loadtest.Options{Count: -1, Batch: -1, Concurrency: -1, Customers: -1, Rate: math.NaN(), Timeout: -1}).Validate()
	for _, want := range []string{"count is -1, must be 1 to 1000000", "batch", "concurrency", "customers", "rate is NaN", "timeout"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err := (*loadtest.Options)(nil).Validate(); err != nil {
		t.Error(err)
	}
}
