// Package order is the aggregate of an order: what may happen to it, and what it is after all that happened.
//
//	command          while the order is            which then is
//	Create           not created                   pending
//	Pay              pending                       paid
//	StartProcessing  paid                          processing
//	Ship             paid, processing              shipped
//	Deliver          shipped                       delivered
//	Cancel           pending, paid, processing     cancelled
//	Refund           cancelled, with money due     cancelled
//
// A command ([Order.Create], [Order.Pay], …) decides: it returns the facts that follow, the payloads of cloudevents/order,
// or the rule that forbids it. It changes nothing. [Order.Apply] says what an order is after facts: applied to [New], the
// facts of a stream give the order as it stands, and its Version is what the next append expects. Facts are never refused
// for a rule, since they happened, whatever the rules are today.
//
// Nothing here reads a clock, a random number, a file or a network: ids and times are told. The package imports
// cloudevents/…, runtime/function for the word Payload, and the JSON library.
package order
