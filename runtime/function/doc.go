// Package function is what the author of a function imports: the Spec that describes it, the Handler it is, the events it
// returns and the errors that say what becomes of a record.
//
//	var Spec = function.Spec{
//		Name:  "order-created",
//		Topic: order.Topic,
//		Emits: []string{notification.RequestedType},
//		New: func(function.Lookup) (function.Handler, error) {
//			return function.On(order.CreatedType, handle), nil
//		},
//	}
//
//	func handle(ctx context.Context, e event.Event, placed order.Created) ([]event.Event, error) {
//		return function.Emit(e, notification.Requested{ … })
//	}
//
// Outcomes travel as errors:
//
//	nil                              done
//	any error                        tried again, with back-off, up to Spec.Attempts; then dead-lettered
//	function.Permanent(err)          dead-lettered now
//	function.RetryAfter(d, err)      tried again after d
//	function.Unavailable(dep, err)   the dependency is down: the record waits, no attempt is spent
//	function.Drop(reason)            done on purpose, without an effect
//	function.ErrPassedBy             the same, and no news: see [PassBy]
//
// A handler that has work of its own besides, such as relaying an outbox, is a [Worker] with a [Chore] for it. A program that
// answers HTTP requests is a [Service].
//
// It imports the CloudEvents SDK's event package, cloudevents/schemas and runtime/config; nothing that knows Kafka or
// Lambda.
package function
