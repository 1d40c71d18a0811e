package orderpaid_test

import (
	"testing"

	"github.com/millrace/millrace/functions/internal/functiontest"
	orderpaid "github.com/millrace/millrace/functions/order-paid"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	functiontest.Golden(t, orderpaid.Spec)
}
