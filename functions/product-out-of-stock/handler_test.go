package productoutofstock_test

import (
	"testing"

	"github.com/millrace/millrace/functions/internal/functiontest"
	productoutofstock "github.com/millrace/millrace/functions/product-out-of-stock"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	functiontest.Golden(t, productoutofstock.Spec)
}
