// Package paymentprovider is the payment provider of local development: it charges nobody, and behaves towards the payment
// function as a real one does. It knows what it was asked before by the Idempotency-Key of requests, so that a repeated
// request is answered as the first one was and books nothing, also after a restart where it keeps a file.
//
//	POST /charges   {"orderId":"12345","customerId":"c-7","amount":99.90,"currency":"EUR"}
//	             -> 201 {"id":"ch_…","orderId":"12345","amount":99.90,"currency":"EUR","method":"card","createdAt":"…"}
//	             -> 402 {"code":"card_declined","message":"card declined"}
//	POST /refunds   {"transactionId":"ch_…","orderId":"12345","amount":99.90,"currency":"EUR","reason":"…"}
//	             -> 201 {"id":"re_…", …}
//	GET /charges?order=12345, GET /refunds?order=12345
//	             -> what was booked, the oldest first, at most 1,000 of an order; without order the last 1,000 of all
//	GET /books   -> for each order, how often and how much was charged and given back
//	GET /mode, PUT /mode {"state":"down","delay":"2s"}
//
// A refund gives back no more than was charged. One with "paidByHand": true gives back a payment that the provider never
// saw, so nothing limits it.
//
// # Errors
//
//	400  the request is malformed, or the amount is not above 0
//	401  the key of the account is missing or wrong
//	402  the charge is declined
//	404  there is no such transaction to give back
//	422  the same Idempotency-Key came with another request before, or more is to be given back than was charged
//	503  the provider is down
//
// # Declined amounts
//
// Whole amounts and most others go through. Those that end in .13 are declined with "card declined", those in .14 with
// "insufficient funds".
//
// It imports cloudevents/money, runtime/config for secrets, runtime/telemetry for its check of host names, and the JSON
// packages.
package paymentprovider
