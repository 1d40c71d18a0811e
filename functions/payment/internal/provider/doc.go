// Package provider asks a payment provider to take and to give back money, over HTTP with JSON. Whoever has another
// provider puts its words into this package: the rest of the function knows [Client.Charge] and [Client.Refund] only.
//
//	POST {address}/charges   {"orderId":"12345","customerId":"c-7","amount":99.90,"currency":"EUR"}
//	POST {address}/refunds   {"transactionId":"ch_1","orderId":"12345","amount":99.90,"currency":"EUR","reason":"…"}
//	Authorization: Bearer …
//	Idempotency-Key: …
//
//	201 {"id":"ch_1","amount":99.90,"currency":"EUR","method":"card","createdAt":"2023-12-01T12:00:00Z"}
//	402 {"code":"card_declined","message":"card declined"}
//
// A refund of a payment that was made by hand carries "paidByHand": true, since the provider may not know its transaction.
//
// # Asked twice
//
// A request may be repeated with the same key and body at any later time: the provider must answer it as it answered the first
// one, and move no money again. Providers forget keys, some after a day. A charge whose answer was lost and that waits
// for longer than that, for the provider may be down, can then be made twice: ask the provider how long it keeps them.
//
// # What an answer means
//
//	2xx                                        done, where it tells of what was asked for; else a plain error: tried again
//	402                                        *DeclinedError: no money moves, whenever it is asked again
//	no answer, 3xx, 401, 403, 408, 429, 5xx    function.Unavailable: it is down, busy, elsewhere, or does not know the key of
//	                                           the account; none of it is the order's fault
//	404, 405 without a code in the body        the same: whoever answered is no provider
//	409, 425                                   *function.WaitError: the same request is still being worked on, and the
//	                                           provider is well
//	any other                                  function.Permanent: the request can never be fulfilled
//
// # Trust
//
// The address is fixed when the process starts: https with a certificate that is verified, or http to this machine. The
// client has no proxy, follows no redirect, sends no cookies and reads at most 64 KiB of an answer. Its errors name the host
// and the status, a code of plain letters, and nothing else that was sent or answered.
//
// It imports runtime/function for the outcomes, runtime/config for the key, cloudevents/money and the JSON library.
package provider
