package notification_test

import (
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/schemas"
)

// payload is what function.Emit takes, written down again so that the payloads do not depend on the runtime.
type payload interface {
	EventType() string
	AggregateID() string
	PartitionKey() string
}

// The key is the recipient, so that what one customer is told keeps its order.
func TestPayloads(t *testing.T) {
	t.Parallel()
	delivery := notification.Delivery{Aggregate: "notification-1", Recipient: "customer-1"}
	for want, p := range map[string]payload{
		"dev.millrace.notification.requested.v1":     notification.Requested{Aggregate: "notification-1", Recipient: "customer-1"},
		"dev.millrace.notification.email-sent.v1":    notification.EmailSent{Delivery: delivery},
		"dev.millrace.notification.sms-sent.v1":      notification.SmsSent{Delivery: delivery},
		"dev.millrace.notification.admin-alerted.v1": notification.AdminAlerted{Delivery: delivery},
		"dev.millrace.notification.sent.v1":          notification.Sent{Delivery: delivery},
		"dev.millrace.notification.failed.v1":        notification.Failed{Aggregate: "notification-1", Recipient: "customer-1"},
	} {
		if p.EventType() != want || p.AggregateID() != "notification-1" || p.PartitionKey() != "customer-1" {
			t.Errorf("%T has type %s, aggregate %s, key %s", p, p.EventType(), p.AggregateID(), p.PartitionKey())
		}
	}
}

func TestKeyWithoutRecipientIsTheAggregate(t *testing.T) {
	t.Parallel()
	for _, p := range []payload{
		notification.Requested{Aggregate: "notification-product-1"},
		notification.AdminAlerted{Delivery: notification.Delivery{Aggregate: "notification-product-1"}},
		notification.Failed{Aggregate: "notification-product-1"},
	} {
		if p.PartitionKey() != "notification-product-1" {
			t.Errorf("%T has key %s", p, p.PartitionKey())
		}
	}
}

// The data of a request is, byte for byte, what the tutorial's service sends for the same event.
func TestRequestsOfTheTutorial(t *testing.T) {
	t.Parallel()
	at := time.Date(2023, 12, 1, 10, 0, 0, 123e6, time.UTC)
	email := notification.Requested{Channel: notification.Email, Recipient: "customer-789"}
	tests := map[string]struct {
		request notification.Requested
		content notification.Content
		want    string
	}{
		"order created": {email, notification.OrderConfirmation{OrderID: "12345", Amount: money.MustParse("99.90"), OrderDate: at},
			`{"type":"email","recipient":"customer-789","template":"order_confirmation","data":{"orderId":"12345","amount":99.90,"orderDate":"2023-12-01T10:00:00.123Z"}}`},
		"order paid": {notification.Requested{Channel: notification.SMS, Recipient: "customer-789"}, notification.PaymentConfirmation{OrderID: "12345", PaymentMethod: "credit_card", PaidAt: at},
			`{"type":"sms","recipient":"customer-789","template":"payment_confirmation","data":{"orderId":"12345","paymentMethod":"credit_card","paidAt":"2023-12-01T10:00:00.123Z"}}`},
		"order shipped": {email, notification.OrderShipped{OrderID: "12345", TrackingNumber: "1Z999", EstimatedDelivery: "2023-12-05"},
			`{"type":"email","recipient":"customer-789","template":"order_shipped","data":{"orderId":"12345","trackingNumber":"1Z999","estimatedDelivery":"2023-12-05"}}`},
		"order cancelled": {email, notification.OrderCancelled{OrderID: "12345", Reason: "too late", RefundAmount: money.MustParse("5"), CancelledAt: at},
			`{"type":"email","recipient":"customer-789","template":"order_cancelled","data":{"orderId":"12345","reason":"too late","refundAmount":5,"cancelledAt":"2023-12-01T10:00:00.123Z"}}`},
		"user registered": {email, notification.Welcome{FirstName: "Ada", Email: "ada@example.com", RegisteredAt: at},
			`{"type":"email","recipient":"customer-789","template":"welcome","data":{"firstName":"Ada","email":"ada@example.com","registeredAt":"2023-12-01T10:00:00.123Z"}}`},
		"product out of stock": {notification.Requested{Channel: notification.AdminAlert}, notification.ProductOutOfStock{ProductID: "prod-456", ProductName: "Kettle", OutOfStockAt: at},
			`{"type":"admin_alert","template":"product_out_of_stock","data":{"productId":"prod-456","productName":"Kettle","outOfStockAt":"2023-12-01T10:00:00.123Z"}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tt.request.Aggregate = "notification-12345"
			asked, err := tt.request.With(tt.content)
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(asked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, string(data)); diff != "" {
				t.Error(diff)
			}
			if err := schemas.Validate(notification.RequestedType, data); err != nil {
				t.Error(err)
			}
			if asked.AggregateID() != "notification-12345" {
				t.Errorf("the aggregate is %s", asked.AggregateID())
			}
		})
	}
}

type table map[string]int

func (table) Template() string { return "table" }

// A redelivery asks in the same bytes.
func TestWithIsDeterministic(t *testing.T) {
	t.Parallel()
	content := table{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6, "g": 7, "h": 8, "i": 9}
	for range 20 {
		asked, err := notification.Requested{}.With(content)
		if err != nil || string(asked.Data) != `{"a":1,"b":2,"c":3,"d":4,"e":5,"f":6,"g":7,"h":8,"i":9}` {
			t.Fatalf("data is %s, %v", asked.Data, err)
		}
	}
}

type list []string

func (list) Template() string { return "list" }

type unwritable struct{ At time.Time }

func (unwritable) Template() string { return "unwritable" }

func TestWithRefusesWhatIsNoObject(t *testing.T) {
	t.Parallel()
	for want, c := range map[string]notification.Content{
		"list":       list{"a"},
		"unwritable": unwritable{time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		asked, err := notification.Requested{Template: "before"}.With(c)
		if err == nil || !strings.Contains(err.Error(), "content of template "+want) || asked.Data != nil {
			t.Errorf("%T gives %+v, %v", c, asked, err)
		}
	}
}

// Template data reaches the one who delivers digit for digit.
func TestDataIsExact(t *testing.T) {
	t.Parallel()
	const data = `{"type":"email","template":"order_confirmation","data":{"amount":12345678901234567.10,"b":1E3}}`
	var asked notification.Requested
	if err := json.Unmarshal([]byte(data), &asked); err != nil {
		t.Fatal(err)
	}
	var content notification.OrderConfirmation
	if err := json.Unmarshal(asked.Data, &content); err != nil {
		t.Fatal(err)
	}
	if content.Amount.String() != "12345678901234567.10" || !strings.Contains(string(asked.Data), "1E3") {
		t.Errorf("data is %s, amount %s", asked.Data, content.Amount)
	}
}
