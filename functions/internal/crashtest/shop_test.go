package crashtest_test

import (
	"bytes"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// shop is a whole shop in a process that is killed and started again.
type shop struct {
	place
	environment []string
	// pause is how many milliseconds pass at most, beside some, between two kills.
	pause int

	process *exec.Cmd
	said    *bytes.Buffer
	ended   chan struct{}
}

// start starts the process. It is killed when the test ends, if it runs then.
func (s *shop) start(t *testing.T) {
	t.Helper()
	setting, err := json.Marshal(s.place)
	if err != nil {
		t.Fatal(err)
	}
	s.process, s.said, s.ended = exec.Command(os.Args[0]), &bytes.Buffer{}, make(chan struct{})
	s.process.Env = append(os.Environ(), append(s.environment, child+"="+string(setting))...)
	s.process.Stdout, s.process.Stderr = s.said, s.said
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	process, ended := s.process, s.ended
	go func() { _ = process.Wait(); close(ended) }()
	t.Cleanup(func() { _ = process.Process.Kill(); <-ended })
}

// kill kills the process, as a power cut does. It must not have ended by itself.
func (s *shop) kill(t *testing.T) {
	t.Helper()
	select {
	case <-s.ended:
		t.Fatalf("the shop ended by itself: %s", s.said)
	default:
	}
	if err := s.process.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-s.ended
}

// await waits until the API answers.
func (s *shop) await(t *testing.T) {
	t.Helper()
	runtimetest.Eventually(t, "an answer of the API", func() bool {
		select {
		case <-s.ended:
			t.Fatalf("the shop ended by itself: %s", s.said)
		default:
		}
		answer, err := http.Get("http://" + s.API + "/openapi.json")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
}

// client gives up soon: a shop that is killed does not answer.
var client = &http.Client{Timeout: 10 * time.Second}

// records are all records of the topic of orders, those of a partition in their order.
func (s *shop) records(t *testing.T) (all []*kgo.Record) {
	t.Helper()
	brokers := s.Kafka
	if brokers == "" {
		brokers = net.JoinHostPort("127.0.0.1", strconv.Itoa(s.KafkaPort))
	}
	kafka, err := cluster.Connect(t.Context(), kafkaclient.Config{Brokers: []string{brokers}},
		kgo.ConsumeTopics(order.Topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer kafka.Close()
	spans, err := kafka.Offsets(t.Context(), order.Topic)
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for _, span := range spans[order.Topic] {
		want += span.End - span.Start
	}
	for int64(len(all)) < want {
		fetched := kafka.PollFetches(t.Context())
		if err := fetched.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fetched.Records()...)
	}
	return all
}
