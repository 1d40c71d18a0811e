package orderstore_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/function"
)

// A customer places an order, and sends the request again because the answer was lost.
func ExampleStore_Change() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "orders")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	store, err := orderstore.Open(ctx, database.Config{Kind: "sqlite", URL: config.NewSecret(filepath.Join(folder, "orders.db"))})
	if err != nil {
		log.Print(err)
		return
	}
	defer store.Close()

	place := func(o order.Order) ([]function.Payload, error) {
		items := []fact.Item{{ProductID: "prod-4", Quantity: 2, Price: money.MustParse("49.50")}}
		return o.Create(order.Creation{CustomerID: "customer-789", Items: items, At: noon})
	}
	for _, request := range []string{"request 1", "request 1", "request 2"} {
		o, err := store.Change(ctx, "12345", orderstore.Cause{Key: request}, place, nil)
		fmt.Printf("%s: %s, version %d, %v\n", request, o.Status(), o.Version, err)
	}
	// Output:
	// request 1: pending, version 1, <nil>
	// request 1: pending, version 1, <nil>
	// request 2: pending, version 1, order 12345 is pending, cannot create: an order is created once
}
