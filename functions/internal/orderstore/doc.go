// Package orderstore keeps the orders of the order service: the facts of each order as a stream of events, and with them, in
// one transaction, the rows by which they are published.
//
//	store, err := orderstore.Open(ctx, config)
//	o, err := store.Change(ctx, "12345", orderstore.Cause{Key: request, CorrelationID: correlation},
//		func(o order.Order) ([]function.Payload, error) { return o.Cancel(cancellation) }, nil)
//
// A change is done once, however often it is asked for: the ids of its facts follow from its [Cause], so that one that was
// asked for before, by a request that was repeated or by an event that was delivered again, is found in the stream.
//
// The package imports functions/internal/order, payload packages, and of the runtime the database, the event store, the
// outbox and runtime/function. It knows neither HTTP nor who asks for changes.
package orderstore
