package crashtest_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/functions/internal/orderview"
	"github.com/millrace/millrace/localdev/paymentprovider"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
)

// findings are what does not agree, by what it is about.
type findings map[string][]string

// kinds are what is looked for, in the order in which it is told.
var kinds = []string{"status", "view", "unpublished", "disordered", "charged", "stock"}

func (f findings) addf(kind, format string, args ...any) {
	f[kind] = append(f[kind], fmt.Sprintf(format, args...))
}

// String counts what was found of each kind.
func (f findings) String() string {
	var b strings.Builder
	for _, kind := range kinds {
		fmt.Fprintf(&b, " %s=%d", kind, len(f[kind]))
	}
	return b.String()[1:]
}

// audit is what is compared when all has come to rest.
type audit struct {
	findings

	purchases []*purchase
	orders    *orderstore.Store
	stock     *database.DB
	provider  *paymentprovider.Provider
	records   []*kgo.Record
}

// all compares everything.
func (a *audit) all(t *testing.T) {
	a.statuses(t)
	a.views(t)
	a.published(t)
	a.payments()
	a.stocks(t)
}

// statuses compares what the API told last with what follows from the events of each order, and looks for orders that nobody knows of.
func (a *audit) statuses(t *testing.T) {
	known := map[string]bool{}
	for _, p := range a.purchases {
		known[orderstore.Stream(p.id)] = true
		o, err := a.orders.Load(t.Context(), p.id)
		switch {
		case err != nil:
			a.addf("status", "order %s: %v", p.id, err)
		case string(o.Status()) != p.status:
			a.addf("status", "order %s: its events say %s, the API %s", p.id, o.Status(), p.status)
		case o.RefundDue().Sign() != 0:
			a.addf("status", "order %s: %s is still to be given back", p.id, o.RefundDue())
		}
	}
	for _, r := range a.stored(t) {
		if !known[r.Stream] {
			a.addf("status", "%s exists, and nobody was told of it", r.Stream)
			known[r.Stream] = true
		}
	}
}

// stored are all events of the store.
func (a *audit) stored(t *testing.T) (all []eventstore.Recorded) {
	t.Helper()
	for {
		page, err := a.orders.Events().ReadAll(t.Context(), position(all), eventstore.MaxRead)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			return all
		}
		all = append(all, page...)
	}
}

func position(all []eventstore.Recorded) int64 {
	if len(all) == 0 {
		return 0
	}
	return all[len(all)-1].Position
}

// views compares the lists with the events.
func (a *audit) views(t *testing.T) {
	listed := map[string]string{}
	queries := orderview.NewQueries(a.orders.DB())
	for page := 1; ; page++ {
		p, err := queries.All(t.Context(), page, 100)
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range p.Orders {
			listed[row.OrderID] = string(row.Status)
		}
		if page >= p.Pages {
			break
		}
	}
	for _, p := range a.purchases {
		if listed[p.id] != p.status {
			a.addf("view", "order %s is listed as %q, and is %s", p.id, listed[p.id], p.status)
		}
	}
	if len(listed) != len(a.purchases) {
		a.addf("view", "%d orders are listed, %d were placed", len(listed), len(a.purchases))
	}
}

// published looks for stored events that are not on Kafka, or not in their order there: the first time that each of them is there counts.
func (a *audit) published(t *testing.T) {
	first := map[string]int{} // by the event's id
	for i, r := range a.records {
		id := headerOf(r, "ce_id")
		if _, again := first[id]; !again {
			first[id] = i
		}
	}
	last := map[string]int{} // by the stream
	for _, r := range a.stored(t) {
		at, ok := first[r.Event.ID()]
		if !ok {
			a.addf("unpublished", "%s version %d, event %s", r.Stream, r.Version, r.Event.ID())
			continue
		}
		if before, ok := last[r.Stream]; ok && at < before {
			a.addf("disordered", "%s version %d, event %s", r.Stream, r.Version, r.Event.ID())
		}
		last[r.Stream] = at
	}
}

func headerOf(r *kgo.Record, name string) string {
	for _, h := range r.Headers {
		if h.Key == name {
			return string(h.Value)
		}
	}
	return ""
}

// payments compares the provider's books with what became of the orders, and the books with what Kafka was told.
func (a *audit) payments() {
	accounts := map[string]paymentprovider.Account{}
	for _, account := range a.provider.Accounts() {
		accounts[account.OrderID] = account
	}
	for _, p := range a.purchases {
		account := accounts[p.id]
		delete(accounts, p.id)
		total := money.MustParse(fmt.Sprintf("%d.%02d", p.cents/100, p.cents%100))
		switch {
		case account.Charges > 1:
			a.addf("charged", "order %s was charged %d times", p.id, account.Charges)
		case p.moneyProblem(account) != "":
			a.addf("charged", "order %s (%s) %s: %+v", p.id, p.status, p.moneyProblem(account), account)
		case account.Charges == 1 && account.Charged.Cmp(total) != 0:
			a.addf("charged", "order %s costs %s, charged was %s", p.id, total, account.Charged)
		}
	}
	for id := range accounts {
		a.addf("charged", "order %s is in the books, and nobody placed it", id)
	}
}

// moneyProblem says what is wrong with the money of an order, "" where nothing is.
func (p *purchase) moneyProblem(account paymentprovider.Account) string {
	switch i := p.intent; {
	case i.declined && account.Charges+account.Refunds > 0:
		return "was declined"
	case i.byHand && account.Charges > 0:
		return "was paid by hand"
	case i.byHand && i.cancels && account.Refunds != 1:
		return "was paid by hand, and is to be given back once"
	case i.byHand && !i.cancels && account.Refunds > 0, p.end() != "cancelled" && !i.byHand && (account.Charges != 1 || account.Refunds > 0):
		return "is kept"
	case (i.cancels || i.absent) && account.Charges == 1 && account.Charged.Cmp(account.Refunded) != 0:
		return "is cancelled, and the money was not given back"
	}
	return ""
}

// stocks compares what is set aside with the orders that have it.
func (a *audit) stocks(t *testing.T) {
	reserved := map[string]int{}
	for _, p := range a.purchases {
		if p.status != "cancelled" {
			reserved[p.product] += p.quantity
		}
	}
	rows, err := a.stock.Read().QueryContext(t.Context(), "SELECT product_id, available, reserved FROM inventory_stock")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var product string
		var available, aside int
		if err := rows.Scan(&product, &available, &aside); err != nil {
			t.Fatal(err)
		}
		if available+aside != initial || aside != reserved[product] {
			a.addf("stock", "%s: %d available and %d set aside of %d, orders have %d", product, available, aside, initial, reserved[product])
		}
		delete(reserved, product)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	for _, product := range slices.Sorted(maps.Keys(reserved)) {
		a.addf("stock", "%s: orders have %d, and the shop does not know it", product, reserved[product])
	}
}
