package schemas

import (
	"slices"
	"strings"
	"sync"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/cloudevents/user"
)

// Type is one event type of the catalogue.
type Type struct {
	// Name is the CloudEvents type: "dev.millrace.order.created.v1".
	Name string
	// Envelope is the eventType of the tutorial's JSON envelope: "OrderCreated".
	Envelope string
	// Topic is where events of this type are published.
	Topic string
}

var catalogue = [...]Type{
	{order.CreatedType, "OrderCreated", order.Topic},
	{order.PaidType, "OrderPaid", order.Topic},
	{order.ProcessingStartedType, "OrderProcessingStarted", order.Topic},
	{order.ShippedType, "OrderShipped", order.Topic},
	{order.DeliveredType, "OrderDelivered", order.Topic},
	{order.CancelledType, "OrderCancelled", order.Topic},
	{order.RefundedType, "OrderRefunded", order.Topic},
	{payment.ProcessedType, "PaymentProcessed", payment.Topic},
	{payment.FailedType, "PaymentFailed", payment.Topic},
	{payment.RefundedType, "PaymentRefunded", payment.Topic},
	{inventory.ReservedType, "InventoryReserved", inventory.Topic},
	{inventory.RejectedType, "InventoryRejected", inventory.Topic},
	{inventory.ReleasedType, "InventoryReleased", inventory.Topic},
	{user.RegisteredType, "UserRegistered", user.Topic},
	{user.LoggedInType, "UserLoggedIn", user.Topic},
	{product.UpdatedType, "ProductUpdated", product.Topic},
	{product.PriceChangedType, "PriceChanged", product.Topic},
	{product.OutOfStockType, "ProductOutOfStock", product.Topic},
	{notification.RequestedType, "NotificationRequested", notification.Topic},
	{notification.EmailSentType, "EmailSent", notification.Topic},
	{notification.SmsSentType, "SmsSent", notification.Topic},
	{notification.AdminAlertedType, "AdminAlerted", notification.Topic},
	{notification.SentType, "NotificationSent", notification.Topic},
	{notification.FailedType, "NotificationFailed", notification.Topic},
}

// userLogin is a second name for "UserLoggedIn": the tutorial's figure has it.
const userLogin = "UserLogin"

// The types by their names. They are made when they are asked for: not every program asks, and somebody waits for the start of
// one on Lambda.
var (
	byName     = index(func(t Type) string { return t.Name })
	byEnvelope = index(func(t Type) string { return t.Envelope })
)

func index(key func(Type) string) func() map[string]Type {
	return sync.OnceValue(func() map[string]Type {
		types := make(map[string]Type, len(catalogue))
		for _, t := range catalogue {
			types[key(t)] = t
		}
		return types
	})
}

// All returns every type, sorted by name.
func All() []Type {
	return slices.SortedFunc(slices.Values(catalogue[:]), func(a, b Type) int { return strings.Compare(a.Name, b.Name) })
}

// Lookup finds a type by its CloudEvents name.
func Lookup(name string) (Type, bool) {
	t, ok := byName()[name]
	return t, ok
}

// ByEnvelope finds a type by its eventType in the tutorial's JSON envelope. "UserLogin" and "UserLoggedIn" are the same.
func ByEnvelope(eventType string) (Type, bool) {
	if eventType == userLogin {
		eventType = "UserLoggedIn"
	}
	t, ok := byEnvelope()[eventType]
	return t, ok
}
