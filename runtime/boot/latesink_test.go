package boot_test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// brokerAt starts a broker at an address, with a topic.
func brokerAt(t *testing.T, addr, topic string) *runtimetest.Broker {
	t.Helper()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	b := runtimetest.Kafka(t, &runtimetest.Options{Embedded: []kfake.Opt{kfake.Ports(number)}})
	b.CreateTopic(t, topic, 1, nil)
	return b
}

// Orders can be taken without Kafka: they wait in the outbox until it is there.
func TestAServiceStartsWithoutKafkaAndPublishesWhenItIsThere(t *testing.T) {
	t.Parallel()
	const out = "order-events"
	b, broker := offline(t), runtimetest.FreeAddress(t).String()
	b.environment["KAFKA_BROKERS"] = broker
	outbox := newBox()
	mux := http.NewServeMux()
	mux.HandleFunc("POST /orders/{id}", func(_ http.ResponseWriter, r *http.Request) { outbox.put(fact(r.PathValue("id"))) })
	a := serve(t, b, mux, outbox.relay(out))
	if got := a.call(t, "POST", "/orders/1", ""); got.code != http.StatusOK {
		t.Errorf("got %+v", got)
	}
	runtimetest.Eventually(t, "the chore fails", func() bool {
		_, metrics := a.get(t, "/metrics")
		return strings.Contains(metrics, `chore_errors_total{chore="outbox",program="shop"}`) &&
			!strings.Contains(metrics, `chore_errors_total{chore="outbox",program="shop"} 0`)
	})
	if status, body := a.get(t, "/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
	if _, body := a.get(t, "/healthz"); !strings.Contains(body, `"producerConnected":false`) || !strings.Contains(body, `"healthy"`) {
		t.Errorf("/healthz: %s", body)
	}
	if r := brokerAt(t, broker, out).Records(t, out, 1)[0]; header(r, "ce_id") != "1" {
		t.Errorf("published %v", r.Headers)
	}
	if _, body := a.get(t, "/healthz"); !strings.Contains(body, `"producerConnected":true`) {
		t.Errorf("/healthz: %s", body)
	}
}

func TestAServiceOnLambdaStartsWithoutKafka(t *testing.T) {
	t.Parallel()
	const out = "order-events"
	broker := runtimetest.FreeAddress(t).String()
	p := startProgram(t, map[string]string{childService: "shop", childChore: "relays", childOut: out, "KAFKA_BROKERS": broker})
	for i := range 2 {
		if got := p.request(t, fmt.Sprint(i), urlEvent("POST", fmt.Sprintf("/orders/%d", i), "", nil)); got.StatusCode != http.StatusOK {
			t.Errorf("answer %+v", got)
		}
	}
	b := brokerAt(t, broker, out)
	if got := p.invoke(t, "schedule", ruleEvent); got.failed {
		t.Errorf("answer %+v", got)
	}
	b.Records(t, out, 2)
	p.end(t)
	all := lines(t, p.stderr.String())
	find(t, all, "msg", "the program starts nevertheless")
	find(t, all, "error", "kafka is unavailable: publish to topic order-events")
	find(t, all, "msg", "Kafka answers now")
}

func TestATopicThatIsMissingWhenKafkaIsThereAtLastIsLogged(t *testing.T) {
	t.Parallel()
	broker := runtimetest.FreeAddress(t).String()
	p := startProgram(t, map[string]string{childService: "shop", childChore: "relays", childOut: "absent", "KAFKA_BROKERS": broker})
	p.request(t, "1", urlEvent("POST", "/orders/1", "", nil))
	brokerAt(t, broker, "order-events")
	if got := p.invoke(t, "schedule", ruleEvent); !got.failed || !strings.Contains(got.body, "absent") {
		t.Errorf("answer %+v", got)
	}
	p.end(t)
	find(t, lines(t, p.stderr.String()), "error", "chore outbox of shop publishes: topic absent does not exist")
}
