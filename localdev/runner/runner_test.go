package runner_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/mail"
	"github.com/millrace/millrace/localdev/runner"
	"github.com/millrace/millrace/localdev/webhook"
	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		runChild(dir)
		return
	}
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

// bundle is a running system.
type bundle struct {
	runner.System

	client *cluster.Client
	stop   func() error

	mu       sync.Mutex
	mails    []mail.Message
	webhooks []webhook.Message
}

// environ is an environment of the given variables, on top of those that make tests fast.
func environ(variables map[string]string) func(string) (string, bool) {
	return func(key string) (string, bool) {
		value, ok := variables[key]
		if !ok && key == "COMMIT_INTERVAL" {
			return "20ms", true
		}
		return value, ok
	}
}

// run runs a system until the test ends, and returns when its functions have joined their groups.
func run(t *testing.T, o runner.Options) *bundle {
	t.Helper()
	b := &bundle{}
	anywhere(&o)
	if o.Lookup == nil {
		o.Lookup = environ(nil)
	}
	o.Mail = func(m mail.Message) { b.mu.Lock(); b.mails = append(b.mails, m); b.mu.Unlock() }
	o.Webhook = func(m webhook.Message) { b.mu.Lock(); b.webhooks = append(b.webhooks, m); b.mu.Unlock() }
	started, ended := make(chan struct{}), make(chan error, 1)
	o.Started = func(s runner.System) { b.System = s; close(started) }
	ctx, cancel := context.WithCancel(context.Background())
	go func() { ended <- runner.Run(ctx, &o) }()
	b.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := b.stop(); err != nil {
			t.Errorf("Run() = %v", err)
		}
	})
	select {
	case <-started:
	case err := <-ended:
		ended <- err
		t.Fatalf("Run() = %v", err)
	}
	b.client = connect(t, b.Kafka.Brokers...)
	return b
}

// anywhere lets every part listen on a free port.
func anywhere(o *runner.Options) {
	if o.KafkaPort == 0 {
		o.KafkaPort = broker.AnyPort
	}
	if o.SMTPAddr == "" {
		o.SMTPAddr = "127.0.0.1:0"
	}
	if o.WebhookAddr == "" {
		o.WebhookAddr = "127.0.0.1:0"
	}
	if o.PaymentAddr == "" {
		o.PaymentAddr = "127.0.0.1:0"
	}
	if o.APIAddr == "" {
		o.APIAddr = "127.0.0.1:0"
	}
	if o.HTTPAddr == "" {
		o.HTTPAddr = "off"
	}
}

// notifications are the functions of the notification service, which reads what the shop does and does nothing to orders itself.
func notifications() []function.Spec {
	return slices.DeleteFunc(catalog.Functions(), func(s function.Spec) bool { return catalog.Database(s.Name) != "" })
}

func connect(t *testing.T, brokers ...string) *cluster.Client {
	t.Helper()
	client, err := cluster.Connect(t.Context(), kafkaclient.Config{Brokers: brokers})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

func (b *bundle) caughtMails() []mail.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.mails)
}

func (b *bundle) caughtWebhooks() []webhook.Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.webhooks)
}

func (b *bundle) produce(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	if err := b.client.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// ordered is the envelope of an order that a customer placed.
func ordered(order int, customer string) *kgo.Record {
	id := fmt.Sprintf("order-%d", order)
	return &kgo.Record{Topic: "order-events", Key: []byte(id), Value: fmt.Appendf(nil,
		`{"eventId":"event-%[1]s","eventType":"OrderCreated","aggregateId":%[1]q,"version":1,"timestamp":"2026-11-23T08:00:00Z",`+
			`"data":{"orderId":%[1]q,"customerId":%[2]q,"amount":10.50},"metadata":{"source":"test","correlationId":"flow-%[1]s"}}`,
		id, customer)}
}

// read returns the records of a topic from the beginning on, at least n of them.
func read(t *testing.T, brokers []string, topic string, n int) []*kgo.Record {
	t.Helper()
	client, err := cluster.Connect(t.Context(), kafkaclient.Config{Brokers: brokers},
		kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < n {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			t.Fatalf("%d records in %s, want %d", len(records), topic, n)
		}
		records = append(records, fetches.Records()...)
	}
	return records
}

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func TestAnOrderBecomesAMail(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{})
	b.produce(t, ordered(1, "customer-7"))
	runtimetest.Eventually(t, "the mail", func() bool { return len(b.caughtMails()) > 0 })
	m := b.caughtMails()[0]
	if !strings.Contains(m.Subject, "order-1") || !slices.Equal(m.To, []string{"customer-7@customers.millrace.example"}) {
		t.Errorf("mail to %v about %q", m.To, m.Subject)
	}
	if !b.Embedded || !b.SMTPCaught || !b.WebhookCaught || b.HTTP != "" || b.Data != "" {
		t.Errorf("the system is %+v", b.System)
	}
}

func TestAPaymentAndAnEmptyShelfBecomeWebhooks(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{})
	b.produce(t,
		&kgo.Record{Topic: "order-events", Key: []byte("order-1"), Value: []byte(`{"eventId":"paid-1","eventType":"OrderPaid",` +
			`"aggregateId":"order-1","data":{"orderId":"order-1","customerId":"customer-7","amount":1,"paymentMethod":"card"}}`)},
		&kgo.Record{Topic: "product-events", Key: []byte("p-1"), Value: []byte(`{"eventId":"out-1","eventType":"ProductOutOfStock",` +
			`"aggregateId":"p-1","data":{"productId":"p-1","productName":"Kettle"}}`)},
	)
	runtimetest.Eventually(t, "the webhooks", func() bool { return len(b.caughtWebhooks()) == 2 })
	var types []string
	for _, m := range b.caughtWebhooks() {
		types = append(types, m.Type)
	}
	slices.Sort(types)
	if diff := cmp.Diff([]string{"notification.admin_alert", "notification.sms"}, types); diff != "" {
		t.Error(diff)
	}
}

func TestGarbageBecomesADeadLetterAndThePartitionMovesOn(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{Functions: notifications()})
	garbage := &kgo.Record{
		Topic: "order-events", Partition: 0, Key: []byte("order-1"), Value: []byte{0, 0xff, '{', 7},
		Headers: []kgo.RecordHeader{{Key: "x", Value: nil}, {Key: "x", Value: []byte{}}, {Key: "dlq-replay-count", Value: []byte("9")}},
	}
	b.produce(t, garbage, ordered(1, "customer-7"))
	runtimetest.Eventually(t, "the mail behind the garbage", func() bool { return len(b.caughtMails()) == 1 })
	letters := read(t, b.Kafka.Brokers, deadletter.DefaultTopic, 1)
	letter, err := deadletter.Parse(message(letters[0]))
	if err != nil {
		t.Fatal(err)
	}
	want := message(garbage)
	if diff := cmp.Diff(want, letter.Original); diff != "" {
		t.Errorf("the original (-want +got):\n%s", diff)
	}
	if letter.Topic != "order-events" || letter.Partition != garbage.Partition || letter.Offset != garbage.Offset ||
		letter.Class != "undecodable" || letter.Reason == "" || letter.Group != "notification-service-orders" ||
		letter.Timestamp.IsZero() || letter.First.IsZero() || letter.Last.IsZero() || letter.Service.Name == "" {
		t.Errorf("the letter is %+v", letter)
	}
}

func message(r *kgo.Record) kafkabinding.Message {
	m := kafkabinding.Message{Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(h.Key), Value: h.Value})
	}
	return m
}

func TestAMailServerThatIsDownLosesNothing(t *testing.T) {
	t.Parallel()
	addr := runtimetest.FreeAddress(t).String()
	b := run(t, runner.Options{Lookup: environ(map[string]string{"SMTP_ADDR": addr, "SMTP_TLS": "none", "BREAKER_RECOVERY_TIMEOUT": "200ms"})})
	if b.SMTP != addr || b.SMTPCaught {
		t.Fatalf("the system is %+v", b.System)
	}
	const orders = 20
	var want []string
	for i := range orders {
		b.produce(t, ordered(i, "customer-7"))
	}
	// The notifications of one customer are in one partition: their order there is the order of the mails.
	requested := read(t, b.Kafka.Brokers, "notification-events", orders)
	for _, r := range requested {
		want = append(want, header(r, "ce_subject"))
	}
	server, err := mail.Start(&mail.Options{Addr: addr})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	runtimetest.Eventually(t, "all mails", func() bool { return server.Received() >= orders })
	var got []string
	for _, m := range server.Messages() {
		got = append(got, "notification-"+orderID(m.Subject))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("mails (-want +got):\n%s", diff)
	}
	spans, err := b.client.Offsets(t.Context(), deadletter.DefaultTopic)
	if err != nil {
		t.Fatal(err)
	}
	if n := spans[deadletter.DefaultTopic][0].End; n != 0 {
		t.Errorf("%d dead letters because of a mail server that was down", n)
	}
}

// orderID finds the order's id in a subject.
func orderID(subject string) string {
	at := strings.Index(subject, "order-")
	if at < 0 {
		return subject
	}
	digits := strings.TrimLeft(subject[at+len("order-"):], "0123456789")
	return subject[at : len(subject)-len(digits)]
}

// finished counts the records that functions are done with.
type finished struct{ atomic.Int64 }

func (f *finished) Observe(o *pipeline.Outcome) {
	if o.Verdict == function.Done || errors.Is(o.Err, function.ErrPassedBy) {
		f.Add(1)
	}
}

func TestLeavingCommitsWhatIsFinished(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var done finished
	// No commit comes in the course of the test but the one of leaving.
	b := run(t, runner.Options{
		Data: dir, Functions: notifications(), Observers: []pipeline.Observer{&done},
		Lookup: environ(map[string]string{"COMMIT_INTERVAL": "1m"}),
	})
	const orders = 200
	for i := range orders {
		b.produce(t, ordered(i, "customer-"+strconv.Itoa(i%10)))
	}
	// An order leads to three records about its notification: that it is wanted, which mail was sent, that it was sent.
	runtimetest.Eventually(t, "everything handled", func() bool { return done.Load() == orders+3*orders })
	b.client.Close()
	begin := time.Now()
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("leaving took %s", took)
	}

	kept, err := broker.Start(t.Context(), &broker.Options{Port: broker.AnyPort, DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer kept.Close()
	client := connect(t, kept.Addr())
	for topic, group := range map[string]string{
		"order-events": "notification-service-orders", "notification-events": "notification-requested",
	} {
		spans, err := client.Offsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := client.Admin.FetchOffsets(t.Context(), group)
		if err != nil {
			t.Fatal(err)
		}
		for partition, span := range spans[topic] {
			if at, _ := committed.Lookup(topic, partition); at.At != span.End {
				t.Errorf("%s committed %d in %s/%d, which ends at %d", group, at.At, topic, partition, span.End)
			}
		}
	}
}

func TestARealClusterGetsItsTopics(t *testing.T) {
	t.Parallel()
	kafka := runtimetest.Kafka(t, nil)
	b := run(t, runner.Options{Kafka: strings.Join(kafka.Addrs, ",")})
	if b.Embedded || len(b.Kafka.Brokers) == 0 {
		t.Errorf("the system is %+v", b.System)
	}
	if err := b.client.CheckTopic(t.Context(), "order-events"); err != nil {
		t.Error(err)
	}
}

// Behind another door the functions get the same environment, and their errors end the system.
func TestAnotherDoorServesTheFunctions(t *testing.T) {
	t.Parallel()
	failure := errors.New("no door")
	var brokers, smtp, tls string
	b := run(t, runner.Options{
		Lookup: environ(map[string]string{"KAFKA_TLS": "true"}),
		Serve: func(ctx context.Context, of runner.Environment, kafka kafkaclient.Config, started func()) error {
			environment := of("order-created")
			brokers, _ = environment("KAFKA_BROKERS")
			smtp, _ = environment("SMTP_ADDR")
			tls, _ = environment("KAFKA_TLS")
			if !slices.Equal(kafka.Brokers, []string{brokers}) {
				t.Errorf("the cluster is at %v, the environment says %s", kafka.Brokers, brokers)
			}
			started()
			<-ctx.Done()
			return failure
		},
	})
	if brokers != b.Kafka.Brokers[0] || smtp != b.SMTP || tls != "" || b.HTTP != "" {
		t.Errorf("functions see the brokers %s, the mail server %s and TLS %q; the system is %+v", brokers, smtp, tls, b.System)
	}
	if err := b.stop(); !errors.Is(err, failure) {
		t.Errorf("Run() = %v, want %v", err, failure)
	}
	b.stop = func() error { return nil }
}

func TestAnAddressInUseNamesThePart(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	addr := taken.Addr().String()
	for part, o := range map[runner.Part]runner.Options{
		runner.PartKafka:   {KafkaPort: taken.Addr().(*net.TCPAddr).Port},
		runner.PartSMTP:    {SMTPAddr: addr},
		runner.PartWebhook: {WebhookAddr: addr},
		runner.PartHTTP:    {HTTPAddr: addr},
	} {
		anywhere(&o)
		o.Lookup = environ(nil)
		err := runner.Run(t.Context(), &o)
		var inUse *runner.AddressInUseError
		if !errors.As(err, &inUse) || inUse.Part != part || !strings.Contains(err.Error(), addr) {
			t.Errorf("%s: got %v, want AddressInUseError with %s", part, err, addr)
		}
	}
}

func TestRunRefusesToStart(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		options runner.Options
		want    string
	}{
		"nonsense in the environment": {runner.Options{Lookup: environ(map[string]string{"WORKERS": "many"})}, "WORKERS"},
		"cluster that is not there":   {runner.Options{Kafka: "127.0.0.1:1"}, "127.0.0.1:1"},
		"cluster without a port":      {runner.Options{Kafka: "kafka"}, "KAFKA_BROKERS"},
		"nonsense for HTTP":           {runner.Options{HTTPAddr: "nonsense"}, "HTTP_ADDR"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			anywhere(&test.options)
			if test.options.Lookup == nil {
				test.options.Lookup = environ(nil)
			}
			if err := runner.Run(t.Context(), &test.options); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error about %s", err, test.want)
			}
		})
	}
}

func TestTheEnvironmentOfARealClusterIsNotForTheEmbeddedOne(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{Lookup: environ(map[string]string{
		"KAFKA_BROKERS": "kafka.example:9093", "KAFKA_TLS": "true", "KAFKA_SASL_MECHANISM": "PLAIN",
		"KAFKA_SASL_USERNAME": "u", "KAFKA_SASL_PASSWORD": "p", "SMTP_USERNAME": "u", "SMTP_PASSWORD": "p", "SMTP_TLS": "implicit",
	})})
	b.produce(t, ordered(1, "customer-7"))
	runtimetest.Eventually(t, "the mail", func() bool { return len(b.caughtMails()) > 0 })
}
