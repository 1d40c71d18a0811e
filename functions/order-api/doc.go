// Package orderapi is the shop's HTTP API of orders: they are placed, paid by hand, shipped, delivered, called off, read and
// listed. /openapi.json describes it to programs, /docs to people.
//
//	POST /orders                        createOrder           201, Location
//	POST /orders/{id}/payment           processPayment        200
//	POST /orders/{id}/shipment          shipOrder             200
//	POST /orders/{id}/delivery          deliverOrder          200
//	POST /orders/{id}/cancellation      cancelOrder           200
//	GET  /orders/{id}                   getOrder              from the order's events: who changed it reads what was answered
//	GET  /orders?page=&limit=           getAllOrders          newest first, from the view that follows the events
//	GET  /customers/{id}/orders?page=…  getOrdersByCustomer   as getAllOrders
//
// What may happen to an order functions/internal/order decides, and functions/internal/orderstore keeps it: the facts of a
// change, the rows by which they are published and the answer to its Idempotency-Key are one transaction.
//
// # Who was first
//
// Who changes an order saw it before. So a change that meets another one at the same moment is refused, by 409, rather than
// decided anew on an order that nobody saw; and so is one that the order's rules forbid. Who wants to be sure that the order
// is still as it was read, however long ago, says so by If-Match, and is refused by 412.
//
// # Requests that are repeated
//
// A POST with an Idempotency-Key (draft-ietf-httpapi-idempotency-key-header) is done once. When it changed something, its
// answer is kept for ORDER_API_KEYS_KEPT, and is the answer to each repetition: the same status, body, Location and ETag,
// with Idempotent-Replayed: true. The same key with another path or body is 422; while the first request is being handled it
// is 409. A request that changed nothing is not remembered: repeated, it is tried again. Keys of all clients are in one room,
// so they should be random.
//
// # What is refused
//
// Members of bodies and parameters of queries that are not described are refused: a client that misspells an option should
// hear of it. So are null, members that come twice or in another case, and control characters in text. What is answered then
// is application/problem+json (RFC 9457), which quotes no values. Refusals are 400 where a request cannot be read,
// and 422 where it can be and something in it is not what it has to be.
//
// The package imports huma, cloudevents/…, functions/internal/…, and of the runtime function, database, eventstore and
// projection.
package orderapi
