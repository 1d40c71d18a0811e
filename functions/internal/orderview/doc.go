// Package orderview is the projection of orders into the table that lists are read from: all orders, and those of a customer,
// newest first.
//
//	view, err := projection.New(ctx, store.DB(), store.Events(), orderview.Projection(), nil)
//	page, err := orderview.NewQueries(store.DB()).ByCustomer(ctx, "customer-789", 1, 20)
//
// It follows the event store, which is complete, and not a topic, which forgets. A row holds what lists show; who wants all of
// an order loads it from its stream.
//
// # Pages
//
// Orders are numbered in the order in which they were stored, all of them and those of each customer. So newest first has no
// ties, a page is a range of an index however far back it lies, and the total is the last number. An order that is placed
// while somebody turns pages moves the pages on by one row, as in every list that is counted from its newest end.
//
// The package imports functions/internal/order and orderstore, cloudevents/…, runtime/projection, runtime/database and
// runtime/eventstore.
package orderview
