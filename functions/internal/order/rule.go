package order

import (
	"fmt"
	"slices"
)

// Rule is a rule of an order's life, as a sentence.
type Rule string

// The rules. A command that breaks one of them fails with a [*RuleError].
const (
	CreateOnce       Rule = "an order is created once"
	PayPending       Rule = "an order is paid only while it is pending"
	PayInFull        Rule = "an order is paid in full, and in its currency"
	PayByHand        Rule = "an order is paid by hand only if it was created so"
	ProcessPaid      Rule = "an order is processed only when it is paid"
	ShipPaid         Rule = "an order is shipped only when it is paid or processing"
	DeliverShipped   Rule = "an order is delivered only when it is shipped"
	CancelNotShipped Rule = "an order is cancelled only before it is shipped, and once"
	RefundCancelled  Rule = "an order is refunded only when it is cancelled"
	RefundWhatIsDue  Rule = "a refund is all that is due, and in the order's currency"
)

// RuleError says that an order is not as a command needs it. The command may be right for the same order at another time.
type RuleError struct {
	OrderID string
	// Command is what was asked for: "cancel".
	Command string
	// Status is that of the order, [None] if it does not exist.
	Status Status
	// Rule is the one that would be broken.
	Rule Rule
}

func (e *RuleError) Error() string {
	status := e.Status
	if status == None {
		status = "not created"
	}
	return fmt.Sprintf("order %s is %s, cannot %s: %s", e.OrderID, status, e.Command, e.Rule)
}

// InvalidError says that what a command was given cannot be told as a fact, whatever the order is like.
type InvalidError struct {
	OrderID string
	// Command is what was asked for: "cancel".
	Command string
	// Err says what is wrong: a [*schemas.Error] where it is a member of the fact. It quotes no values.
	Err error
}

func (e *InvalidError) Error() string {
	return fmt.Sprintf("order %s, cannot %s: %v", e.OrderID, e.Command, e.Err)
}

// Unwrap returns Err.
func (e *InvalidError) Unwrap() error { return e.Err }

// command is a name, and the statuses in which the rule lets it happen.
type command struct {
	name     string
	rule     Rule
	statuses []Status
}

var (
	create          = command{"create", CreateOnce, []Status{None}}
	pay             = command{"pay", PayPending, []Status{Pending}}
	startProcessing = command{"start processing", ProcessPaid, []Status{Paid}}
	ship            = command{"ship", ShipPaid, []Status{Paid, Processing}}
	deliver         = command{"deliver", DeliverShipped, []Status{Shipped}}
	cancel          = command{"cancel", CancelNotShipped, []Status{Pending, Paid, Processing}}
	refund          = command{"refund", RefundCancelled, []Status{Cancelled}}
)

// check returns a *RuleError where the status of o forbids the command.
func (c command) check(o Order) error {
	if slices.Contains(c.statuses, o.Status()) {
		return nil
	}
	return c.forbidden(o, c.rule)
}

// forbidden returns the error of a command that breaks rule.
func (c command) forbidden(o Order, rule Rule) error {
	return &RuleError{OrderID: o.ID, Command: c.name, Status: o.Status(), Rule: rule}
}

// invalid returns the error of a command whose input is wrong.
func (c command) invalid(o Order, err error) error {
	return &InvalidError{OrderID: o.ID, Command: c.name, Err: err}
}
