package records_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/broker"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/records"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start starts a broker with the topic t of two partitions.
func start(t *testing.T) *broker.Broker {
	t.Helper()
	b, err := broker.Start(t.Context(), &broker.Options{
		Port:   broker.AnyPort,
		Topics: []infra.Topic{{Name: "t", Partitions: 2, Cleanup: infra.CleanupDelete, Retention: time.Hour}},
	})
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

func connect(t *testing.T, b *broker.Broker) *records.Client {
	t.Helper()
	client, err := records.Connect(t.Context(), kafkaclient.Config{Brokers: []string{b.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// write publishes a record for each value, all under one key.
func write(t *testing.T, client *records.Client, values ...string) []records.Written {
	t.Helper()
	var outs []records.Out
	for _, v := range values {
		outs = append(outs, records.Out{Topic: "t", Message: kafkabinding.Message{Key: []byte("k"), Value: []byte(v)}})
	}
	written := client.Write(t.Context(), outs...)
	for _, w := range written {
		if w.Err != nil {
			t.Fatal(w.Err)
		}
	}
	return written
}

// all reads until the reader caught up.
func all(t *testing.T, reader *records.Reader) []pipeline.Record {
	t.Helper()
	var list []pipeline.Record
	for !reader.CaughtUp() {
		found, err := reader.Next(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, found...)
	}
	return list
}

func TestBytesAreKept(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t))
	want := []kafkabinding.Message{
		{Headers: []kafkabinding.Header{}},
		{Key: []byte{}, Value: []byte{}, Headers: []kafkabinding.Header{{Key: []byte("a"), Value: []byte{}}, {Key: []byte("a")}, {Key: []byte{}, Value: []byte{0, 255}}}},
	}
	var got []kafkabinding.Message
	for i, m := range want {
		w := client.Write(t.Context(), records.Out{Topic: "t", Message: m})[0]
		if w.Err != nil {
			t.Fatal(w.Err)
		}
		reader, err := connectAgain(t, client).Read(t.Context(), "t", records.All)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range all(t, reader) {
			if r.Partition == w.Partition && r.Offset == w.Offset {
				got = append(got, r.Message)
			}
		}
		if len(got) != i+1 {
			t.Fatalf("record %d@%d was not found", w.Partition, w.Offset)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// connectAgain gives a reader a client of its own.
func connectAgain(t *testing.T, client *records.Client) *records.Client {
	t.Helper()
	again, err := records.Connect(t.Context(), kafkaclient.Config{Brokers: client.Brokers()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(again.Close)
	return again
}

func TestWrittenIsInOrder(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t))
	written := write(t, client, "0", "1", "2", "3")
	for i, w := range written {
		if w.Offset != int64(i) || w.Partition != written[0].Partition {
			t.Errorf("record %d is %d@%d", i, w.Partition, w.Offset)
		}
	}
}

func TestMarkAsksForMore(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t))
	write(t, client, "old")
	reader, err := connectAgain(t, client).Read(t.Context(), "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	if !reader.CaughtUp() {
		t.Error("a reader that begins at the end has not caught up")
	}
	write(t, client, "new")
	if err := reader.Mark(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := all(t, reader)
	if len(got) != 1 || string(got[0].Value) != "new" {
		t.Errorf("read %v", got)
	}
}

// A transaction's marker is at the end of the log but is no record.
func TestTransactionsAreReadToTheirEnd(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t))
	producer, err := kgo.NewClient(kgo.SeedBrokers(client.Brokers()...), kgo.TransactionalID("x"), kgo.DefaultProduceTopic("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer producer.Close()
	if err := producer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(t.Context(), kgo.StringRecord("a")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if err := producer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
		t.Fatal(err)
	}
	reader, err := client.Read(t.Context(), "t", records.All)
	if err != nil {
		t.Fatal(err)
	}
	if got := all(t, reader); len(got) != 1 || string(got[0].Value) != "a" {
		t.Errorf("read %v", got)
	}
}

func TestErrorsOfABrokerThatGoesAway(t *testing.T) {
	t.Parallel()
	b := start(t)
	client := connect(t, b)
	reader, err := client.Read(t.Context(), "t", 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	writing := make(chan error, 1)
	begin := time.Now()
	go func() { writing <- client.Write(t.Context(), records.Out{Topic: "t"})[0].Err }()
	_, readErr := reader.Next(t.Context())
	for name, err := range map[string]error{"read": readErr, "write": <-writing} {
		var unreachable *cluster.UnreachableError
		if !errors.As(err, &unreachable) || !strings.Contains(err.Error(), b.Addr()) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if took := time.Since(begin); took > 15*time.Second {
		t.Errorf("it took %s", took)
	}
}

// A broker that takes a record and says nothing more does not keep its writer waiting for ever.
func TestABrokerThatFallsSilent(t *testing.T) {
	t.Parallel()
	kafka, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	silent := make(chan struct{})
	kafka.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		<-silent
		return nil, nil, false
	})
	client, err := records.Connect(t.Context(), kafkaclient.Config{Brokers: kafka.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	begin := time.Now()
	err = client.Write(t.Context(), records.Out{Topic: "t"})[0].Err
	close(silent)
	if took := time.Since(begin); !errors.As(err, new(*cluster.UnreachableError)) || took > 20*time.Second {
		t.Errorf("got %v after %s", err, took)
	}
}

// What was deleted from a topic is not waited for.
func TestADeletedBeginning(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t))
	end := write(t, client, "a", "b")[1]
	var all kadm.Offsets
	all.Add(kadm.Offset{Topic: "t", Partition: end.Partition, At: end.Offset + 1})
	if deleted, err := client.Admin.DeleteRecords(t.Context(), all); err != nil || deleted.Error() != nil {
		t.Fatal(err, deleted.Error())
	}
	reader, err := client.Read(t.Context(), "t", records.All)
	if err != nil {
		t.Fatal(err)
	}
	if !reader.CaughtUp() {
		t.Error("it waits for records that are not there")
	}
}

func TestErrorsNameTheTopic(t *testing.T) {
	t.Parallel()
	client := connect(t, start(t))
	if _, err := client.Read(t.Context(), "u", 0); !errors.As(err, new(*cluster.UnknownTopicError)) {
		t.Errorf("got %v", err)
	}
	if err := client.Write(t.Context(), records.Out{Topic: "u"})[0].Err; err == nil || !strings.Contains(err.Error(), "topic u: ") {
		t.Errorf("got %v", err)
	}
}
