package loadtest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// envelope is what the tutorial's script sends, member by member.
type envelope struct {
	EventID     string   `json:"eventId"`
	EventType   string   `json:"eventType"`
	AggregateID string   `json:"aggregateId"`
	Version     int      `json:"version"`
	Timestamp   string   `json:"timestamp"`
	Data        placed   `json:"data"`
	Metadata    metadata `json:"metadata"`
}

type placed struct {
	OrderID    string     `json:"orderId"`
	CustomerID string     `json:"customerId"`
	Amount     int        `json:"amount"`
	Items      []lineItem `json:"items"`
}

type lineItem struct {
	ProductID string `json:"productId"`
	Quantity  int    `json:"quantity"`
	Price     int    `json:"price"`
}

type metadata struct {
	Source        string `json:"source"`
	CorrelationID string `json:"correlationId"`
}

// eventType is the tutorial's name of the event.
const eventType = "OrderCreated"

// timeFormat is what a JavaScript Date becomes in JSON.
const timeFormat = "2006-01-02T15:04:05.000Z"

// newOrder returns the i-th order of a run as a record, and its event's id.
func newOrder(run string, i, customers int, now time.Time) (id string, m kafkabinding.Message, err error) {
	order := fmt.Sprintf("order-%s-%d", run, i)
	e := envelope{
		EventID:     uuid.NewString(),
		EventType:   eventType,
		AggregateID: order,
		Version:     1,
		Timestamp:   now.UTC().Format(timeFormat),
		Data: placed{
			OrderID:    order,
			CustomerID: fmt.Sprintf("customer-%d", rand.IntN(customers)),
			Amount:     rand.IntN(500) + 10,
			Items: []lineItem{{
				ProductID: fmt.Sprintf("prod-%d", rand.IntN(100)),
				Quantity:  rand.IntN(5) + 1,
				Price:     rand.IntN(100) + 10,
			}},
		},
		Metadata: metadata{Source: "load-test", CorrelationID: uuid.NewString()},
	}
	value, err := json.Marshal(e)
	if err != nil {
		return "", kafkabinding.Message{}, fmt.Errorf("order %s: %w", order, err)
	}
	return e.EventID, kafkabinding.Message{
		Key: []byte(order), Value: value,
		Headers: []kafkabinding.Header{
			{Key: []byte("eventType"), Value: []byte(eventType)},
			{Key: []byte("timestamp"), Value: []byte(e.Timestamp)},
		},
	}, nil
}
