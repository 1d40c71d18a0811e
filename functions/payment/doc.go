// Package payment charges orders, and gives the money back when they are called off. It is the shop's payment service, with
// a table of its own.
//
//	order.created       an automatic order is charged at the payment provider: PaymentProcessed, or PaymentFailed where it is
//	                    declined; a manual one waits
//	order.paid          somebody else took the money for an order that waits: PaymentProcessed. Where it is the money of
//	                    this service, somebody follows the order
//	order.cancelled     what came in goes back: PaymentRefunded; what did not is not charged any more
//	inventory.rejected  the same, where nobody follows the order
//
// Orders that others put on the topic are charged like those of the shop. An order without an amount is paid by being
// placed, and nobody is asked.
//
// # An order
//
//	state      since                                        called off, it is
//	charging   an automatic order was seen                  charged or declined first, as the provider says
//	waiting    a manual order was seen                      cancelled
//	charged    the money came in                            refunding; without an amount cancelled
//	rejected   the goods of a charged order are not there   refunding; without an amount cancelled
//	followed   a charged order was told as paid             refunding; without an amount cancelled
//	declined   the provider refused the charge              declined
//	refunding  a charged order was called off               refunded, as soon as the provider says so
//	refunded   the money went back                          refunded
//	cancelled  it was called off while nothing was in       cancelled
//
// An order that was not seen before is followed when it is told as paid, and cancelled when it is called off. What comes late
// then changes nothing.
//
// # Goods or money
//
// An order may be shipped as soon as it is paid, also while the stock has not answered yet. If it then answers that
// the goods are not there, only who keeps the order knows whether it is shipped, or is now cancelled. So a rejection alone gives no
// money back where somebody follows the order: where order.paid came, with the transaction of its charge or by hand.
//
// What follows from one payment crosses on the topic, and the rejection may come before order.paid. Therefore the money
// of a rejected order is kept for PAYMENT_REJECTED_PATIENCE. If the order is told as paid meanwhile, it is
// followed; if it is cancelled, the money goes back at once; and if neither comes, nobody follows it: the chore
// payment-refunds gives the money back, and tries again after the same time where that fails. What is left is an order service
// that tells of a payment later than that, and has its order shipped before it hears of the rejection: the patience has to be
// longer than its outages are.
//
// # Charged once
//
// Money moves in two steps. First the row says that it is going to: charging, with the amount, under the id of the payment.
// Then the provider is asked with this id as the Idempotency-Key, and what it answered and the event that tells of it are
// one transaction; the outbox publishes the event. Whoever dies, or is not answered, in between asks again with the same
// words, which moves nothing twice. Ids follow from the order's id, so not even a database restored from a backup makes
// a second charge. Refunds are made in the same way.
//
// No lock is held while the provider is asked. Where two do the same at once, as a process does that lost its partition and does
// not know yet, both get the same answer, and one of them changes the row.
//
// An order that is called off while its charge is unresolved, which takes a charge that was dead-lettered, is charged and
// refunded: only that is certain, whatever the provider knows already. The same becomes of one that is called off while the
// provider is down, since its cancellation waits behind its creation.
//
// What was paid by hand goes back by way of the provider, too, which is told that it is none of its charges. One that cannot
// do that refuses, and people hear of it by the dead letter.
//
// # What does not fit
//
// An order that is told again with another amount or currency keeps the first, and the event is dropped, which is counted
// and logged with an [*AmountError]. So is a payment by hand of an order that was charged. Where the provider cannot be
// reached, is slow, answers 5xx or still works on the same request, or the database stores nothing, records wait and no
// attempt is spent. What the provider refuses for another reason than a decline is dead-lettered: the row stays as it is, and
// a replay goes on from there. The package provider below internal has the whole table.
//
// # Environment
//
//	PAYMENT_PROVIDER_URL       http://127.0.0.1:1082   https, or http to this machine
//	PAYMENT_PROVIDER_KEY       (required)              what the provider knows us by; or PAYMENT_PROVIDER_KEY_FILE
//	PAYMENT_TIMEOUT            5s                      longest time that one request may take
//	PAYMENT_REJECTED_PATIENCE  15m                     how long a rejected order waits for somebody who follows it
//	DATABASE, DATABASE_*                               see runtime/database
//
// It imports runtime/function, runtime/config, runtime/database, runtime/outbox, payload packages and the SDK's event package.
package payment
