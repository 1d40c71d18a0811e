// Package orderview keeps the lists of the order service up to date: it follows the event store into the table that
// functions/internal/orderview describes. Lists are read from there, in this process or in another one.
//
// Events of the topic only wake it. When a fact of an order was handled, the lists know it; what they know comes from the event
// store alone, so that what a topic forgets, repeats or never had makes no difference. One catch-up serves all events
// that wait for it. A chore follows anyway, and goes on with a rebuild that somebody began:
//
//	millrace projections rebuild order-view
//
// When an event cannot be taken, the view stops before it: readiness turns red, millrace projections says which one and why, and
// the topic is not read on until the code is corrected. The lists stay as they are.
//
// The package imports functions/internal/orderstore and orderview, runtime/projection, runtime/database, runtime/function,
// payload packages and the SDK's event package.
package orderview
