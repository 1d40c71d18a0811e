package orderstore

import fact "github.com/millrace/millrace/cloudevents/order"

// Types returns the types of the facts that a Store keeps. Whatever program has one publishes them, also those that another
// program stored.
func Types() []string {
	return []string{
		fact.CreatedType, fact.PaidType, fact.ProcessingStartedType, fact.ShippedType, fact.DeliveredType,
		fact.CancelledType, fact.RefundedType,
	}
}
