package ordershipped_test

import (
	"testing"

	"github.com/millrace/millrace/functions/internal/functiontest"
	ordershipped "github.com/millrace/millrace/functions/order-shipped"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	functiontest.Golden(t, ordershipped.Spec)
}
