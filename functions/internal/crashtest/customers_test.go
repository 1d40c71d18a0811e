package crashtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// intent is what a customer wants of an order, and what comes in between.
type intent struct {
	name string
	// byHand: it is paid by hand, not by card.
	byHand bool
	// ships: it is sent off and delivered. cancels: the customer calls it off at some moment.
	ships, cancels bool
	// declined: the card is. absent: the shop does not have it.
	declined, absent bool
}

var intents = []intent{
	{name: "kept"},
	{name: "delivered", ships: true},
	{name: "regretted", cancels: true},
	{name: "paid by hand", byHand: true},
	{name: "paid by hand and regretted", byHand: true, cancels: true},
	{name: "declined", declined: true},
	{name: "absent", absent: true},
}

// purchase is an order and what became of it.
type purchase struct {
	intent intent
	id     string
	// product, quantity and cents are what was ordered, and what it costs in all.
	product         string
	quantity, cents int
	// status is the last that the API told.
	status string
}

// end is the status in which nothing more happens to the purchase by itself.
func (p *purchase) end() string {
	switch {
	case p.intent.ships:
		return "delivered"
	case p.intent.cancels, p.intent.declined, p.intent.absent:
		return "cancelled"
	}
	return "processing"
}

// customer orders one thing after the other at an API that is killed now and then.
type customer struct {
	api  string
	rand *rand.Rand
	name string
}

// answer is what is read of an order.
type answer struct {
	OrderID string `json:"orderId"`
	Status  string `json:"status"`
	// problem is what the API has against the request.
	problem string
}

// buy does what one purchase takes, as far as the customer does it, and returns it.
func (c *customer) buy(ctx context.Context, i intent) (*purchase, error) {
	p := &purchase{intent: i, product: fmt.Sprintf("prod-%d", c.rand.IntN(5)), quantity: 1 + c.rand.IntN(3)}
	price := 100 * (1 + c.rand.IntN(50)) // cents
	body := map[string]any{"customerId": c.name, "currency": "EUR"}
	if i.byHand {
		body["payment"] = "manual"
	}
	if i.declined {
		p.quantity, price = 1, 1313
	}
	if i.absent {
		p.product = "unicorn"
	}
	p.cents = price * p.quantity
	body["items"] = []any{map[string]any{"productId": p.product, "quantity": p.quantity, "price": json.Number(fmt.Sprintf("%d.%02d", price/100, price%100))}}
	created, status, err := c.post(ctx, "/orders", body)
	if err != nil || status != http.StatusCreated {
		return nil, refused("/orders", created, status, err)
	}
	p.id = created.OrderID
	return p, c.goOn(ctx, p)
}

// goOn does what the customer does after the order is placed.
func (c *customer) goOn(ctx context.Context, p *purchase) error {
	path := "/orders/" + p.id
	if p.intent.byHand {
		paid := map[string]any{"paymentMethod": "cash", "transactionId": "by-hand-" + p.id}
		if err := c.insist(ctx, path+"/payment", paid, changedMeanwhile); err != nil {
			return err
		}
	}
	if p.intent.ships {
		if err := c.insist(ctx, path+"/shipment", map[string]any{"trackingNumber": "NP1"}, conflict); err != nil {
			return err
		}
		return c.insist(ctx, path+"/delivery", map[string]any{}, conflict)
	}
	if p.intent.cancels && pause(ctx, time.Duration(c.rand.Int64N(int64(300*time.Millisecond)))) {
		return c.insist(ctx, path+"/cancellation", map[string]any{"reason": "changed their mind"}, changedMeanwhile)
	}
	return ctx.Err()
}

// refused tells of an answer that nobody expects.
func refused(path string, a answer, status int, err error) error {
	if err != nil {
		return fmt.Errorf("POST %s: %w", path, err)
	}
	return fmt.Errorf("POST %s: %d %s", path, status, a.problem)
}

// What customers ask again after: that somebody else changed the order at the same moment, or any conflict, where the order is
// not as they need it yet.
const (
	changedMeanwhile = "changed-meanwhile"
	conflict         = ""
)

// insist asks again where the answer is a conflict of a kind.
func (c *customer) insist(ctx context.Context, path string, body any, kind string) error {
	for {
		a, status, err := c.post(ctx, path, body)
		if err == nil && status == http.StatusOK {
			return nil
		}
		if err != nil || status != http.StatusConflict || !strings.Contains(a.problem, kind) {
			return refused(path, a, status, err)
		}
		if !pause(ctx, 50*time.Millisecond) {
			return ctx.Err()
		}
	}
}

// post asks with a key, again and again while nobody answers, so that it is done once.
func (c *customer) post(ctx context.Context, path string, body any) (answer, int, error) {
	key := uuid.NewString()
	for {
		a, status, err := c.once(ctx, path, key, body)
		if err == nil && status < http.StatusInternalServerError {
			return a, status, nil
		}
		if !pause(ctx, 20*time.Millisecond) {
			return a, status, ctx.Err()
		}
	}
}

func (c *customer) once(ctx context.Context, path, key string, body any) (a answer, status int, err error) {
	content, err := json.Marshal(body)
	if err != nil {
		return a, 0, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.api+path, bytes.NewReader(content))
	if err != nil {
		return a, 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Idempotency-Key", key)
	return ask(r)
}

func ask(r *http.Request) (a answer, status int, err error) {
	response, err := client.Do(r)
	if err != nil {
		return a, 0, err
	}
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	if a.problem = string(content); err == nil && response.StatusCode < 300 {
		a.problem, err = "", json.Unmarshal(content, &a)
	}
	return a, response.StatusCode, err
}

// pause waits, and is false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
