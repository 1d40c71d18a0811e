// Package live shows what happens in a running system as lines for a person, or as JSON: each outcome of a function, each
// mail and webhook that was caught. Lines of one chain carry the same flow: the end of their correlation id.
//
//	TIME          FLOW      WHAT                   ABOUT                      BY                      OUTCOME
//	10:04:05.123  3e6a7c21  OrderCreated           order-7c1-12               order-created           done, 2.1 ms → NotificationRequested
//	10:04:05.131  3e6a7c21  NotificationRequested  notification-order-7c1-12  notification-requested  done, 6.0 ms → EmailSent, NotificationSent
//	10:04:05.131  3e6a7c21  mail                   ada.lovelace@example.com   notification-requested  delivered 21 ms after OrderCreated: Your order
//
// When more happens than a person can read, the lines of a second are summed up in one.
//
// It imports cloudevents/schemas, localdev/{mail,text,webhook}, runtime/function and runtime/pipeline.
package live
