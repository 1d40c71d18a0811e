package orderprocess

import (
	"errors"
	"fmt"

	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/functions/internal/orderstore"
	"github.com/millrace/millrace/runtime/function"
)

// errForeign finishes an event about an order that the store does not know: somebody else's. An own one cannot be missing,
// since what tells of it is published only when it is stored.
var errForeign = fmt.Errorf("the order is none of this store: %w", function.ErrPassedBy)

// verdict says what becomes of an event whose change failed.
//
// A rule that forbids the change is no failure: the order went another way meanwhile, and whoever told of the step hears of
// that, too. What can never be stored is dead-lettered; the rest is tried again.
func verdict(err error) error {
	if broken, ok := errors.AsType[*order.RuleError](err); ok {
		return function.Drop(fmt.Sprintf("%s; the order is %s", broken.Rule, broken.Status))
	}
	if orderstore.Impossible(err) {
		return function.Permanent(err)
	}
	return err
}
