// Package inventory sets goods aside for paid orders, and frees them when an order is called off. It is the shop's
// inventory service, with tables of its own.
//
//	order.created      the pieces that the order asks for are noted, added up by product
//	payment.processed  all of them are reserved: InventoryReserved; or none, where one product has too few: InventoryRejected
//	order.cancelled    what is reserved is free again: InventoryReleased; before the payment: nothing will be reserved
//
// The change of the tables and the events that tell of it are one transaction; the outbox publishes them. A product that
// the shop does not have is a reason to reject, like one that has too few pieces.
//
// # An order
//
//	not seen ── created ──▶ open ──── paid ────▶ reserved ── cancelled ──▶ released
//	    │                                   └──▶ rejected
//	    ├────── paid ─────▶ prepaid ─ created ─▶ as above
//	    └──── cancelled ──▶ cancelled ◀── cancelled ── open, prepaid
//
// Each step is taken once: an event that is delivered again, or told again with another id, finds the row and changes
// nothing. The payment of an order that was not seen is remembered and dropped, which is counted. Its creation may
// still come, from another partition or from the dead letters; otherwise whoever keeps the order ends it when nothing is
// reserved in time.
//
// Refunds and failed payments free nothing: nothing is reserved before the payment came in, and the payment is given back
// only after the order was cancelled or rejected, which the topic tells first. Shipped pieces stay reserved: they do not
// come back.
//
// # Stock
//
// A shop that has no product yet gets INVENTORY_INITIAL_STOCK pieces each of prod-0 to prod-99. [Store.Restock] adds
// pieces, and so does, while the service runs:
//
//	UPDATE inventory_stock SET available = available + 50, told = false WHERE product_id = 'prod-7'
//
// ProductOutOfStock is published when the last piece of a product is reserved; and when an order asks for more than there
// is, but then once until the product is restocked, however many orders are rejected. Nothing is told of products that
// the shop does not have.
//
// In PostgreSQL a transaction locks its order and then the products of it, sorted, so that orders for the same products
// wait for each other, and never in a circle. SQLite has one writer at a time.
//
// The package imports runtime/function, runtime/database, runtime/outbox, payload packages and the SDK's event package.
package inventory
