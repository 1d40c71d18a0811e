package foreign_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// fact is one of the six events that the tutorial's services tell each other, and the notification that follows.
type fact struct {
	name, eventType    string // in the tutorial's envelope and in CloudEvents
	topic, source      string
	aggregate, data    string
	channel, template  string
	recipient, subject string
}

var facts = []fact{
	{
		name: "OrderCreated", eventType: "dev.millrace.order.created.v1", topic: "order-events", source: "order-service",
		aggregate: "order-1",
		data: `{"orderId":"order-1","customerId":"customer-1","amount":99.99,"currency":"EUR",` +
			`"items":[{"productId":"prod-1","quantity":2,"price":49.99}],"orderDate":"2026-11-23T08:00:00Z"}`,
		channel: "email", template: "order_confirmation", recipient: "customer-1", subject: "notification-order-1",
	},
	{
		name: "OrderPaid", eventType: "dev.millrace.order.paid.v1", topic: "order-events", source: "order-service",
		aggregate: "order-1",
		data: `{"orderId":"order-1","customerId":"customer-1","amount":99.99,"paymentMethod":"card",` +
			`"transactionId":"tx-1","paidAt":"2026-11-23T08:01:00Z"}`,
		channel: "sms", template: "payment_confirmation", recipient: "customer-1", subject: "notification-order-1-payment",
	},
	{
		name: "OrderShipped", eventType: "dev.millrace.order.shipped.v1", topic: "order-events", source: "order-service",
		aggregate: "order-2",
		data: `{"orderId":"order-2","customerId":"customer-2","trackingNumber":"T-1","carrier":"Post",` +
			`"estimatedDelivery":"2026-11-25","shippedAt":"2026-11-23T09:00:00Z"}`,
		channel: "email", template: "order_shipped", recipient: "customer-2", subject: "notification-order-2-shipping",
	},
	{
		name: "OrderCancelled", eventType: "dev.millrace.order.cancelled.v1", topic: "order-events", source: "order-service",
		aggregate: "order-3",
		data: `{"orderId":"order-3","customerId":"customer-3","reason":"changed my mind","refundAmount":12.5,` +
			`"cancelledAt":"2026-11-23T09:30:00Z"}`,
		channel: "email", template: "order_cancelled", recipient: "customer-3", subject: "notification-order-3-cancellation",
	},
	{
		name: "UserRegistered", eventType: "dev.millrace.user.registered.v1", topic: "user-events", source: "user-service",
		aggregate: "user-1",
		data:      `{"userId":"user-1","email":"ada@example.com","firstName":"Ada","registeredAt":"2026-11-23T07:00:00Z"}`,
		channel:   "email", template: "welcome", recipient: "user-1", subject: "notification-user-user-1",
	},
	{
		name: "ProductOutOfStock", eventType: "dev.millrace.product.out-of-stock.v1", topic: "product-events", source: "product-service",
		aggregate: "prod-1", data: `{"productId":"prod-1","productName":"Mill","outOfStockAt":"2026-11-23T10:00:00Z"}`,
		channel: "admin_alert", template: "product_out_of_stock", subject: "notification-product-prod-1",
	},
}

// key is the key of the notification's record: whoever is told, or the notification itself where that is nobody.
func (f *fact) key() string {
	if f.recipient != "" {
		return f.recipient
	}
	return f.subject
}

// mode is a way to put an event on a topic. It sends the event under the given id and flow.
type mode struct {
	name string
	send func(t *testing.T, m *millrace, f *fact, id, flow string)
}

var modes = []mode{{"envelope", sendEnvelope}, {"binary", sendBinary}}

// sendEnvelope sends an event as the tutorial's services do.
func sendEnvelope(t *testing.T, m *millrace, f *fact, id, flow string) {
	t.Helper()
	value := fmt.Sprintf(`{"eventId":%q,"eventType":%q,"aggregateId":%q,"version":1,"timestamp":"2026-11-23T08:00:00.000Z",`+
		`"data":%s,"metadata":{"source":%q,"correlationId":%q}}`, id, f.name, f.aggregate, f.data, f.source, flow)
	m.send(t, f.topic, f.aggregate, []byte(value), "-H", "eventType="+f.name,
		"-H", "aggregateId="+f.aggregate, "-H", "timestamp=2026-11-23T08:00:00.000Z")
}

// sendBinary sends an event in binary mode of the CloudEvents Kafka binding.
func sendBinary(t *testing.T, m *millrace, f *fact, id, flow string) {
	t.Helper()
	m.send(t, f.topic, f.aggregate, []byte(f.data),
		"-H", "ce_specversion=1.0", "-H", "ce_id="+id, "-H", "ce_source=/"+f.source, "-H", "ce_type="+f.eventType,
		"-H", "ce_subject="+f.aggregate, "-H", "ce_time=2026-11-23T08:00:00Z", "-H", "ce_correlationid="+flow,
		"-H", "content-type=application/json")
}

// TestSixEventsByKcat sends each event in each mode, twice under the same id, and compares the notifications that are
// asked for.
func TestSixEventsByKcat(t *testing.T) {
	t.Parallel()
	needs(t, "kcat")
	m := start(t, nil, nil)

	want := map[string]notification{}
	for range 2 {
		for _, mode := range modes {
			for i := range facts {
				f := &facts[i]
				id, flow := mode.name+"-"+f.name, "flow-"+mode.name+"-"+f.name
				mode.send(t, m, f, id, flow)
				want[id] = notification{
					kind: requestedType, subject: f.subject, correlation: flow, causation: id, key: f.key(),
					data: notificationData{Channel: f.channel, Recipient: f.recipient, Template: f.template},
				}
			}
		}
	}
	var found []notification
	eventually(t, "two notifications for each event", func() bool {
		found = m.notifications(t, requestedType)
		return len(found) >= 2*len(want)
	})

	got, ids := map[string]notification{}, map[string]string{}
	for _, n := range found {
		if first, ok := ids[n.causation]; ok && first != n.id {
			t.Errorf("event %s led to notifications of ids %s and %s", n.causation, first, n.id)
		}
		ids[n.causation] = n.id
		n.id = ""
		got[n.causation] = n
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(notification{})); diff != "" {
		t.Errorf("notifications by the event that led to them (-want +got):\n%s", diff)
	}
	if n := len(distinct(found, notification.identity)); n != len(want) || len(found) != 2*len(want) {
		t.Errorf("%d records of %d ids, want %d of %d", len(found), n, 2*len(want), len(want))
	}
	m.awaitSent(t, len(want))
}
