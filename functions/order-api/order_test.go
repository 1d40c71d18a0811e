package orderapi_test

import (
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/runtime/runtimetest"
)

var (
	anyID   = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}`)
	anyTime = regexp.MustCompile(`"2[0-9]{3}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z"`)
)

// masked is a body with ID and NOW for what is another one each time.
func (a answer) masked() string {
	return anyTime.ReplaceAllString(anyID.ReplaceAllString(a.body, "ID"), `"NOW"`)
}

const (
	placedOrder = `"amount":99.00,"currency":"EUR","items":[{"productId":"prod-4","quantity":2,"price":49.50}],` +
		`"shippingAddress":{"street":"1 Mill Lane","city":"Rivertown"},"orderDate":"NOW","payment":"manual"`
	paidOrder    = placedOrder + `,"paid":{"paymentMethod":"cash","transactionId":"txn-1","paidAt":"NOW"}`
	shippedOrder = paidOrder + `,"shipped":{"trackingNumber":"1Z999","carrier":"UPS","estimatedDelivery":"in 2-3 days","shippedAt":"NOW"}`
)

func shownAs(status, version, rest string) string {
	return `{"orderId":"ID","customerId":"customer-789","status":"` + status + `","version":` + version + `,` + rest + `}`
}

// An order is shown as it is after each change, and the same by who reads it afterwards.
func TestTheLifeOfAnOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		created := strings.Replace(byHand, `"payment"`, `"currency":"eur","shippingAddress":{"street":"1 Mill Lane","city":"Rivertown"},"payment"`, 1)
		placed := s.ask(t, "POST", "/orders", created).must(t, http.StatusCreated)
		path := placed.header.Get("Location")
		if path != "/orders/"+placed.view(t).OrderID {
			t.Errorf("Location: %s", path)
		}
		s.requireShown(t, path, placed, `"1"`, shownAs("pending", "1", placedOrder))
		for _, step := range []struct{ command, body, version, want string }{
			{"/payment", paid, "2", shownAs("paid", "2", paidOrder)},
			{"/shipment", shipped, "3", shownAs("shipped", "3", shippedOrder)},
			{"/delivery", "{}", "4", shownAs("delivered", "4", shippedOrder+`,"delivered":{"deliveredAt":"NOW"}`)},
		} {
			got := s.ask(t, "POST", path+step.command, step.body).must(t, http.StatusOK)
			s.requireShown(t, path, got, `"`+step.version+`"`, step.want)
		}
	})
}

func TestACancelledOrder(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		const rest = `"amount":99.00,"currency":"USD","items":[{"productId":"prod-4","quantity":2,"price":49.50}],"orderDate":"NOW","payment":"manual"`
		path := "/orders/" + s.place(t)
		s.ask(t, "POST", path+"/payment", `{"amount":99,"currency":"usd","transactionId":"txn-1"}`).must(t, http.StatusOK)
		got := s.ask(t, "POST", path+"/cancellation", `{"reason":"changed my mind"}`, "If-Match", `W/"2", "2"`).must(t, http.StatusOK)
		s.requireShown(t, path, got, `"3"`, shownAs("cancelled", "3", rest+`,"refundDue":99,"paid":{"transactionId":"txn-1","paidAt":"NOW"},`+
			`"cancelled":{"reason":"changed my mind","refundAmount":99,"cancelledAt":"NOW"}`))
		unpaid := "/orders/" + s.place(t)
		got = s.ask(t, "POST", unpaid+"/cancellation", "", "If-Match", "*").must(t, http.StatusOK)
		s.requireShown(t, unpaid, got, `"2"`, shownAs("cancelled", "2", rest+`,"cancelled":{"refundAmount":0,"cancelledAt":"NOW"}`))
	})
}

// requireShown checks an answer, and that the order is read as it was answered.
func (s *shop) requireShown(t *testing.T, path string, got answer, etag, want string) {
	t.Helper()
	read := s.ask(t, "GET", path, "").must(t, http.StatusOK)
	if got.masked() != want || read.body != got.body {
		t.Errorf("answered %s\nread %s\nwant %s", got.masked(), read.masked(), want)
	}
	for _, a := range []answer{got, read} {
		if a.header.Get("ETag") != etag || a.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %v, want version %s", a.header, etag)
		}
	}
}

// Amounts of money are kept to the last digit, and as they were written.
func TestMoneyIsExact(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	for price, total := range map[string]string{"0.1": "0.3", "49.50": "148.50", "9007199254.740993": "27021597764.222979", "1e2": "300", "0": "0"} {
		body := `{"customerId":"c","items":[{"productId":"p","quantity":3,"price":` + price + `}]}`
		got := s.ask(t, "POST", "/orders", body).must(t, http.StatusCreated)
		if !strings.Contains(got.body, `"amount":`+total+`,`) {
			t.Errorf("3 × %s: %s, want %s", price, got.body, total)
		}
	}
	told := s.ask(t, "POST", "/orders", with(`"amount":104.90`)).must(t, http.StatusCreated)
	if !strings.Contains(told.body, `"amount":104.90,`) {
		t.Errorf("got %s", told.body)
	}
}

// Addresses may be one line.
func TestAnAddressInOneLine(t *testing.T) {
	t.Parallel()
	s := start(t, onSQLite(t))
	got := s.ask(t, "POST", "/orders", with(`"shippingAddress":"1 Mill Lane, Rivertown"`)).must(t, http.StatusCreated)
	if !strings.Contains(got.body, `"shippingAddress":"1 Mill Lane, Rivertown"`) {
		t.Errorf("got %s", got.body)
	}
}

const traceParent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// What a request changes is told by an event, which knows the flow, the request and the trace that it comes from.
func TestEventsReachKafka(t *testing.T) {
	t.Parallel()
	kafka := runtimetest.Kafka(t, nil)
	kafka.Embedded(t) // where order-events is nobody else's
	s := serve(t, kafka)
	flow := []string{"X-Correlation-ID", "flow-1", "traceparent", traceParent, "tracestate", "a=b"}
	placed := s.ask(t, "POST", "/orders", byHand, flow...).must(t, http.StatusCreated)
	own := s.ask(t, "POST", placed.header.Get("Location")+"/payment", paid).must(t, http.StatusOK)
	if placed.header.Get("X-Correlation-ID") != "flow-1" || own.header.Get("X-Correlation-ID") != own.header.Get("X-Request-ID") {
		t.Errorf("flows: %v, %v", placed.header, own.header)
	}
	// The runtime answers for the service where a page of another site is behind a request.
	foreign := s.ask(t, "POST", "/orders", byHand, "Origin", "https://elsewhere.example").must(t, http.StatusForbidden)
	if foreign.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("got %+v", foreign)
	}
	type told struct{ Key, Type, Correlation, Causation, TraceParent, TraceState string }
	var got []told
	for _, r := range kafka.Records(t, order.Topic, 2) {
		m := kafkabinding.Message{Key: r.Key, Value: r.Value}
		for _, h := range r.Headers {
			m.Headers = append(m.Headers, kafkabinding.Header{Key: []byte(h.Key), Value: h.Value})
		}
		e, err := kafkabinding.Decode(m)
		if err != nil {
			t.Fatal(err)
		}
		text := func(name string) string { value, _ := e.Extensions()[name].(string); return value }
		got = append(got, told{string(r.Key), e.Type(), text("correlationid"), text("causationid"), text("traceparent"), text("tracestate")})
	}
	id := placed.view(t).OrderID
	want := []told{
		{id, order.CreatedType, "flow-1", placed.header.Get("X-Request-ID"), traceParent, "a=b"},
		{id, order.PaidType, own.header.Get("X-Correlation-ID"), own.header.Get("X-Request-ID"), "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
