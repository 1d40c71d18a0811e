package order_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

var (
	noon = time.Date(2023, 12, 1, 12, 0, 0, 0, time.UTC)
	// inBerlin is noon as a clock in Berlin tells it.
	inBerlin = noon.In(time.FixedZone("CET", 3600))
	price    = money.MustParse("49.50")
	total    = money.MustParse("99.00")
	creation = order.Creation{
		CustomerID: "customer-789", Currency: "eur", At: inBerlin, Payment: fact.PaymentManual,
		Items: []fact.Item{{ProductID: "prod-4", Quantity: 2, Price: price}},
	}
	payment  = order.Payment{Amount: total, Currency: "EUR", Method: "card", TransactionID: "txn-1", ByHand: true, At: inBerlin}
	shipment = order.Shipment{TrackingNumber: "1Z999", Carrier: "UPS", EstimatedDelivery: "in 2-3 days", At: inBerlin}
	refund   = order.Refund{Amount: total, Currency: "EUR", TransactionID: "txn-2", At: inBerlin}
)

// commands are all commands, with input that is right for an order of creation.
var commands = map[string]func(order.Order) ([]function.Payload, error){
	"create": func(o order.Order) ([]function.Payload, error) { return o.Create(creation) },
	"pay":    func(o order.Order) ([]function.Payload, error) { return o.Pay(payment) },
	"start processing": func(o order.Order) ([]function.Payload, error) {
		return o.StartProcessing(order.Reservation{ID: "res-1", At: inBerlin})
	},
	"ship":    func(o order.Order) ([]function.Payload, error) { return o.Ship(shipment) },
	"deliver": func(o order.Order) ([]function.Payload, error) { return o.Deliver(inBerlin) },
	"cancel": func(o order.Order) ([]function.Payload, error) {
		return o.Cancel(order.Cancellation{Reason: "changed my mind", At: inBerlin})
	},
	"refund": func(o order.Order) ([]function.Payload, error) { return o.Refund(refund) },
}

// after returns the order 12345 after commands, and the facts that they told.
func after(t testing.TB, names ...string) (order.Order, []function.Payload) {
	t.Helper()
	o, told := order.New("12345"), []function.Payload(nil)
	for _, name := range names {
		facts, err := commands[name](o)
		if err != nil {
			t.Fatal(err)
		}
		if o, err = o.Apply(facts...); err != nil {
			t.Fatal(err)
		}
		told = append(told, facts...)
	}
	return o, told
}

// life has each status with a way to it, and what may happen next: the status after each command that is allowed.
var life = []struct {
	status order.Status
	way    []string
	next   map[string]order.Status
}{
	{order.None, nil, map[string]order.Status{"create": order.Pending}},
	{order.Pending, []string{"create"}, map[string]order.Status{"pay": order.Paid, "cancel": order.Cancelled}},
	{order.Paid, []string{"create", "pay"}, map[string]order.Status{
		"start processing": order.Processing, "ship": order.Shipped, "cancel": order.Cancelled,
	}},
	{order.Processing, []string{"create", "pay", "start processing"}, map[string]order.Status{
		"ship": order.Shipped, "cancel": order.Cancelled,
	}},
	{order.Shipped, []string{"create", "pay", "ship"}, map[string]order.Status{"deliver": order.Delivered}},
	{order.Shipped, []string{"create", "pay", "start processing", "ship"}, map[string]order.Status{"deliver": order.Delivered}},
	{order.Delivered, []string{"create", "pay", "ship", "deliver"}, nil},
	{order.Cancelled, []string{"create", "cancel"}, nil},
	{order.Cancelled, []string{"create", "pay", "cancel"}, map[string]order.Status{"refund": order.Cancelled}},
	{order.Cancelled, []string{"create", "pay", "start processing", "cancel"}, map[string]order.Status{"refund": order.Cancelled}},
	{order.Cancelled, []string{"create", "pay", "cancel", "refund"}, nil},
}

func TestEachCommandInEachStatus(t *testing.T) {
	t.Parallel()
	for _, tt := range life {
		for command, run := range commands {
			t.Run(fmt.Sprint(tt.way, command), func(t *testing.T) {
				t.Parallel()
				o, _ := after(t, tt.way...)
				if o.Status() != tt.status || o.Version != int64(len(tt.way)) {
					t.Fatalf("is %q at version %d, want %q at %d", o.Status(), o.Version, tt.status, len(tt.way))
				}
				before := o
				facts, err := run(o)
				if diff := cmp.Diff(before, o); diff != "" {
					t.Errorf("the command changed the order:\n%s", diff)
				}
				want, allowed := tt.next[command]
				if !allowed {
					requireRule(t, err, o, command)
					return
				}
				if err != nil || len(facts) != 1 {
					t.Fatalf("got %v, %v, want one fact", facts, err)
				}
				next, err := o.Apply(facts...)
				if err != nil || next.Status() != want || next.Version != o.Version+1 {
					t.Errorf("is %q at version %d, %v, want %q at %d", next.Status(), next.Version, err, want, o.Version+1)
				}
			})
		}
	}
}

// ruleOf is the rule that a command breaks in a status in which it is never allowed.
var ruleOf = map[string]order.Rule{
	"create":           "an order is created once",
	"pay":              "an order is paid only while it is pending",
	"start processing": "an order is processed only when it is paid",
	"ship":             "an order is shipped only when it is paid or processing",
	"deliver":          "an order is delivered only when it is shipped",
	"cancel":           "an order is cancelled only before it is shipped, and once",
	"refund":           "an order is refunded only when it is cancelled",
}

func requireRule(t *testing.T, got error, o order.Order, command string) {
	t.Helper()
	rule := ruleOf[command]
	if command == "refund" && o.Status() == order.Cancelled {
		rule = "a refund is all that is due, and in the order's currency"
	}
	want := error(&order.RuleError{OrderID: "12345", Command: command, Status: o.Status(), Rule: rule})
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestRuleErrorsSayOrderStatusAndRule(t *testing.T) {
	t.Parallel()
	shipped, _ := after(t, "create", "pay", "ship")
	_, err := shipped.Cancel(order.Cancellation{At: noon})
	const want = "order 12345 is shipped, cannot cancel: an order is cancelled only before it is shipped, and once"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	_, err = order.New("12345").Deliver(noon)
	const wantNone = "order 12345 is not created, cannot deliver: an order is delivered only when it is shipped"
	if err == nil || err.Error() != wantNone {
		t.Errorf("got  %v\nwant %s", err, wantNone)
	}
}

// Each fact has what readers need of it, with times in UTC and currencies in upper case.
func TestWhatIsTold(t *testing.T) {
	t.Parallel()
	_, delivered := after(t, "create", "pay", "start processing", "ship", "deliver")
	_, refunded := after(t, "create", "pay", "cancel", "refund")
	_, unpaid := after(t, "create", "cancel")
	cancelled := fact.Cancelled{
		OrderID: "12345", CustomerID: "customer-789", Reason: "changed my mind", Currency: "EUR", CancelledAt: noon,
	}
	cancelledPaid := cancelled
	cancelledPaid.RefundAmount, cancelledPaid.TransactionID = total, "txn-1"
	tests := map[string]struct{ want, got function.Payload }{
		"created": {fact.Created{
			OrderID: "12345", CustomerID: "customer-789", Amount: total, Currency: "EUR", Items: creation.Items, OrderDate: noon,
			Payment: fact.PaymentManual,
		}, delivered[0]},
		"paid": {fact.Paid{
			OrderID: "12345", CustomerID: "customer-789", Amount: total, Currency: "EUR", PaymentMethod: "card",
			TransactionID: "txn-1", PaidAt: noon,
		}, delivered[1]},
		"processing": {fact.ProcessingStarted{
			OrderID: "12345", CustomerID: "customer-789", ReservationID: "res-1", StartedAt: noon,
		}, delivered[2]},
		"shipped": {fact.Shipped{
			OrderID: "12345", CustomerID: "customer-789", TrackingNumber: "1Z999", Carrier: "UPS", EstimatedDelivery: "in 2-3 days",
			ShippedAt: noon,
		}, delivered[3]},
		"delivered":         {fact.Delivered{OrderID: "12345", CustomerID: "customer-789", DeliveredAt: noon}, delivered[4]},
		"cancelled, unpaid": {cancelled, unpaid[1]},
		"cancelled, paid":   {cancelledPaid, refunded[2]},
		"refunded": {fact.Refunded{
			OrderID: "12345", CustomerID: "customer-789", Amount: total, Currency: "EUR", TransactionID: "txn-2", RefundedAt: noon,
		}, refunded[3]},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, tt.got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Who goes on using what a command was given changes no order.
func TestFactsAreCopies(t *testing.T) {
	t.Parallel()
	c := creation
	c.Items = slices.Clone(creation.Items)
	facts, err := order.New("12345").Create(c)
	if err != nil {
		t.Fatal(err)
	}
	c.Items[0].Quantity = 1000
	if got := facts[0].(fact.Created).Items[0].Quantity; got != 2 {
		t.Errorf("the fact has %d pieces, want 2", got)
	}
}

func TestRefundDue(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		way  []string
		want string
	}{
		{nil, "0"},
		{[]string{"create", "pay"}, "0"},
		{[]string{"create", "cancel"}, "0"},
		{[]string{"create", "pay", "cancel"}, "99.00"},
		{[]string{"create", "pay", "start processing", "cancel"}, "99.00"},
		{[]string{"create", "pay", "cancel", "refund"}, "0"},
	} {
		if o, _ := after(t, tt.way...); o.RefundDue().String() != tt.want {
			t.Errorf("after %v %s is due, want %s", tt.way, o.RefundDue(), tt.want)
		}
	}
}

// Commands are refused for what they are given, not only for the status.
func TestMoneyRules(t *testing.T) {
	t.Parallel()
	pay := func(change func(*order.Creation, *order.Payment)) (order.Order, error) {
		c, p := creation, payment
		change(&c, &p)
		facts, err := order.New("12345").Create(c)
		if err != nil {
			t.Fatal(err)
		}
		o, err := order.New("12345").Apply(facts...)
		if err != nil {
			t.Fatal(err)
		}
		_, err = o.Pay(p)
		return o, err
	}
	tests := map[string]struct {
		change func(*order.Creation, *order.Payment)
		want   order.Rule
	}{
		"as it is":                       {func(*order.Creation, *order.Payment) {}, ""},
		"fewer zeros":                    {func(_ *order.Creation, p *order.Payment) { p.Amount = money.MustParse("99") }, ""},
		"currency in lower case":         {func(_ *order.Creation, p *order.Payment) { p.Currency = "eur" }, ""},
		"dollars without saying so":      {func(c *order.Creation, p *order.Payment) { c.Currency, p.Currency = "", "USD" }, ""},
		"too little":                     {func(_ *order.Creation, p *order.Payment) { p.Amount = money.MustParse("98.99") }, order.PayInFull},
		"too much":                       {func(_ *order.Creation, p *order.Payment) { p.Amount = money.MustParse("99.01") }, order.PayInFull},
		"another currency":               {func(_ *order.Creation, p *order.Payment) { p.Currency = "" }, order.PayInFull},
		"by hand, but it is charged":     {func(c *order.Creation, _ *order.Payment) { c.Payment = "" }, order.PayByHand},
		"by hand, but it is automatic":   {func(c *order.Creation, _ *order.Payment) { c.Payment = fact.PaymentAutomatic }, order.PayByHand},
		"charged, as it should be":       {func(c *order.Creation, p *order.Payment) { c.Payment, p.ByHand = "", false }, ""},
		"charged, though not by itself":  {func(_ *order.Creation, p *order.Payment) { p.ByHand = false }, ""},
		"another total than the items'":  {func(c *order.Creation, p *order.Payment) { c.Amount, p.Amount = &price, price }, ""},
		"the items', not the total told": {func(c *order.Creation, _ *order.Payment) { c.Amount = &price }, order.PayInFull},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := pay(tt.change)
			var want error
			if tt.want != "" {
				want = &order.RuleError{OrderID: o.ID, Command: "pay", Status: order.Pending, Rule: tt.want}
			}
			if diff := cmp.Diff(want, err); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestRefundIsAllThatIsDue(t *testing.T) {
	t.Parallel()
	o, _ := after(t, "create", "pay", "cancel")
	for name, change := range map[string]func(*order.Refund){
		"too little":       func(r *order.Refund) { r.Amount = price },
		"too much":         func(r *order.Refund) { r.Amount = money.MustParse("99.01") },
		"nothing":          func(r *order.Refund) { r.Amount = money.Amount{} },
		"another currency": func(r *order.Refund) { r.Currency = "USD" },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wrong := refund
			change(&wrong)
			_, err := o.Refund(wrong)
			requireRule(t, err, o, "refund")
		})
	}
}
