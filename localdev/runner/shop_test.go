package runner_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/mail"
	"github.com/millrace/millrace/localdev/runner"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// shownOrder is what the tests read of an order.
type shownOrder struct {
	OrderID   string `json:"orderId"`
	Status    string `json:"status"`
	Cancelled struct {
		Reason string `json:"reason"`
	} `json:"cancelled"`
	Refunded struct {
		TransactionID string `json:"transactionId"`
	} `json:"refunded"`
}

// ask asks the API of b, and returns the order that it shows.
func (b *bundle) ask(t *testing.T, method, path, body string, want int) (o shownOrder) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, b.URL()+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Correlation-ID", "flow-of-"+t.Name())
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	content, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		t.Fatalf("%s %s: %d %s, %v; want %d", method, path, answer.StatusCode, content, err, want)
	}
	if want >= http.StatusBadRequest {
		return o
	}
	if err := json.Unmarshal(content, &o); err != nil {
		t.Fatal(err)
	}
	return o
}

// place places an order of a product.
func (b *bundle) place(t *testing.T, product string, price string) shownOrder {
	t.Helper()
	return b.ask(t, http.MethodPost, "/orders",
		fmt.Sprintf(`{"customerId":"ada","items":[{"productId":%q,"quantity":2,"price":%s}]}`, product, price), http.StatusCreated)
}

// await waits until the order has a status.
func (b *bundle) await(t *testing.T, o shownOrder, status string) shownOrder {
	t.Helper()
	runtimetest.Eventually(t, "order "+o.OrderID+" to be "+status, func() bool {
		o = b.ask(t, http.MethodGet, "/orders/"+o.OrderID, "", http.StatusOK)
		return o.Status == status
	})
	return o
}

// records are all records of topics, those of a partition in their order.
func (b *bundle) records(t *testing.T, topics ...string) (all []*kgo.Record) {
	t.Helper()
	for _, topic := range topics {
		spans, err := b.client.Offsets(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, span := range spans[topic] {
			n += int(span.End)
		}
		all = append(all, read(t, b.Kafka.Brokers, topic, n)...)
	}
	return all
}

// types are the types of records with a key, without what all begin with.
func types(records []*kgo.Record, key string) (types []string) {
	for _, r := range records {
		if string(r.Key) == key {
			short := strings.TrimSuffix(strings.TrimPrefix(header(r, "ce_type"), "dev.millrace."), ".v1")
			if !slices.Contains(types, short) {
				types = append(types, short)
			}
		}
	}
	return types
}

func TestAnOrderGoesThroughTheShop(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{})
	o := b.await(t, b.place(t, "prod-7", "19.99"), "processing")
	b.ask(t, http.MethodPost, "/orders/"+o.OrderID+"/shipment", `{"trackingNumber":"1Z999","carrier":"UPS"}`, http.StatusOK)
	b.ask(t, http.MethodPost, "/orders/"+o.OrderID+"/delivery", `{}`, http.StatusOK)
	runtimetest.Eventually(t, "mails about the order and its parcel", func() bool { return len(b.caughtMails()) == 2 })
	var records []*kgo.Record
	runtimetest.Eventually(t, "the end of the story", func() bool {
		records = b.records(t, "order-events", "notification-events")
		return slices.Contains(types(records, o.OrderID), "order.delivered")
	})
	want := []string{
		"order.created", "payment.processed", "inventory.reserved", "order.paid", "order.processing-started", "order.shipped", "order.delivered",
	}
	got := types(records, o.OrderID)
	if i, j := slices.Index(got, "inventory.reserved"), slices.Index(got, "order.paid"); i > j && j >= 0 {
		got[i], got[j] = got[j], got[i] // the two follow from the payment, side by side
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	unbroken(t, records, "flow-of-"+t.Name())
	runtimetest.Eventually(t, "the order in the list of its customer", func() bool {
		return listed(t, b, "ada") == `["`+o.OrderID+` delivered"]`
	})
}

// unbroken fails the test unless all records are of one flow, and each was caused by another one of it but the first of
// each request.
func unbroken(t *testing.T, records []*kgo.Record, flow string) {
	t.Helper()
	known := map[string]bool{}
	for _, r := range records {
		known[header(r, "ce_id")] = true
	}
	requested := 0
	for _, r := range records {
		if got := header(r, "ce_"+function.CorrelationID); got != flow {
			t.Errorf("%s has the correlation %q, want %q", header(r, "ce_type"), got, flow)
		}
		if cause := header(r, "ce_"+function.CausationID); !known[cause] {
			requested++
			if header(r, "ce_source") != "/order-service" {
				t.Errorf("%s of %s was caused by %q, which nobody knows", header(r, "ce_type"), header(r, "ce_source"), cause)
			}
		}
	}
	if requested != 3 {
		t.Errorf("%d events were caused by requests, want those of placing, shipping and delivering", requested)
	}
}

// listed is what the API lists of a customer.
func listed(t *testing.T, b *bundle, customer string) string {
	t.Helper()
	answer, err := http.Get(b.URL() + "/customers/" + customer + "/orders")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var page struct {
		Orders []shownOrder `json:"orders"`
	}
	if err := json.UnmarshalRead(answer.Body, &page); err != nil {
		return err.Error()
	}
	lines := []string{}
	for _, o := range page.Orders {
		lines = append(lines, o.OrderID+" "+o.Status)
	}
	list, err := json.Marshal(lines)
	if err != nil {
		t.Fatal(err)
	}
	return string(list)
}

func TestADeclinedPaymentCancelsTheOrder(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{})
	o := b.ask(t, http.MethodPost, "/orders", `{"customerId":"ada","items":[{"productId":"prod-1","quantity":1,"price":20.13}]}`, http.StatusCreated)
	o = b.await(t, o, "cancelled")
	if !strings.Contains(o.Cancelled.Reason, "declined") || o.Refunded.TransactionID != "" {
		t.Errorf("the order is %+v", o)
	}
	if got := types(b.records(t, "order-events"), o.OrderID); slices.Contains(got, "inventory.reserved") || slices.Contains(got, "payment.refunded") {
		t.Errorf("what was published is %v", got)
	}
}

func TestAnEmptyStockCancelsTheOrderAndGivesTheMoneyBack(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{})
	o := b.await(t, b.place(t, "unicorn", "5.00"), "cancelled")
	runtimetest.Eventually(t, "the refund", func() bool {
		o = b.ask(t, http.MethodGet, "/orders/"+o.OrderID, "", http.StatusOK)
		return o.Refunded.TransactionID != ""
	})
	if account := b.account(t, o.OrderID); account != `{"charges":1,"charged":10.00,"refunds":1,"refunded":10.00}` {
		t.Errorf("the payment provider has %s", account)
	}
	runtimetest.Eventually(t, "the alert of the empty stock", func() bool { return len(b.caughtWebhooks()) > 0 })
}

// account is what the payment provider has in its books about an order.
func (b *bundle) account(t *testing.T, order string) string {
	t.Helper()
	answer, err := http.Get(b.Payments + "/books")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var books struct {
		Orders []struct {
			OrderID  string         `json:"orderId"`
			Charges  int            `json:"charges"`
			Charged  jsontext.Value `json:"charged"`
			Refunds  int            `json:"refunds"`
			Refunded jsontext.Value `json:"refunded"`
		} `json:"orders"`
	}
	if err := json.UnmarshalRead(answer.Body, &books); err != nil {
		t.Fatal(err)
	}
	for _, a := range books.Orders {
		if a.OrderID == order {
			return fmt.Sprintf(`{"charges":%d,"charged":%s,"refunds":%d,"refunded":%s}`, a.Charges, a.Charged, a.Refunds, a.Refunded)
		}
	}
	return "nothing"
}

// The provider hangs until the order was called off; then it answers, and what it took is given back.
func TestAPaymentThatNeverAnswersCancelsTheOrder(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{Lookup: environ(map[string]string{
		"ORDER_PAYMENT_TIMEOUT": "1s", "PAYMENT_TIMEOUT": "200ms", "BREAKER_RECOVERY_TIMEOUT": "200ms",
	})})
	b.mode(t, "hanging")
	o := b.await(t, b.place(t, "prod-3", "2.50"), "cancelled")
	if !strings.Contains(o.Cancelled.Reason, "payment did not answer") {
		t.Errorf("the reason is %q", o.Cancelled.Reason)
	}
	b.mode(t, "up")
	runtimetest.Eventually(t, "the charge that comes too late to be given back", func() bool {
		account := b.account(t, o.OrderID)
		return account == `{"charges":1,"charged":5.00,"refunds":1,"refunded":5.00}`
	})
	runtimetest.Eventually(t, "goods that nobody gets to be free again", func() bool {
		got := types(b.records(t, "order-events"), o.OrderID)
		return slices.Contains(got, "payment.refunded") && slices.Contains(got, "inventory.reserved") == slices.Contains(got, "inventory.released")
	})
}

// mode has the payment provider behave in another way.
func (b *bundle) mode(t *testing.T, state string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, b.Payments+"/mode", bytes.NewReader(fmt.Appendf(nil, `{"state":%q}`, state)))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode >= 300 {
		t.Fatalf("PUT /mode: %s", answer.Status)
	}
}

// An order that another program puts on Kafka is charged and its goods are set aside, though it is none of the shop's.
func TestAnOrderOfAnotherProgram(t *testing.T) {
	t.Parallel()
	b := run(t, runner.Options{})
	foreign := &kgo.Record{Topic: "order-events", Key: []byte("foreign-1"), Value: []byte(
		`{"eventId":"e-1","eventType":"OrderCreated","aggregateId":"foreign-1","version":1,"timestamp":"2026-11-23T08:00:00Z",` +
			`"data":{"orderId":"foreign-1","customerId":"customer-1","amount":99.98,"items":[{"productId":"prod-1","quantity":2,"price":49.99}]},` +
			`"metadata":{"source":"load-test","correlationId":"flow-1"}}`)}
	b.produce(t, foreign)
	runtimetest.Eventually(t, "its goods to be set aside", func() bool {
		return slices.Contains(types(b.records(t, "order-events"), "foreign-1"), "inventory.reserved")
	})
	if account := b.account(t, "foreign-1"); !strings.HasPrefix(account, `{"charges":1,`) {
		t.Errorf("the payment provider has %s", account)
	}
	runtimetest.Eventually(t, "the mail", func() bool {
		return slices.ContainsFunc(b.caughtMails(), func(m mail.Message) bool { return strings.Contains(m.Subject, "foreign-1") })
	})
	b.ask(t, http.MethodGet, "/orders/foreign-1", "", http.StatusNotFound)
}
