package userregistered_test

import (
	"testing"

	"github.com/millrace/millrace/functions/internal/functiontest"
	userregistered "github.com/millrace/millrace/functions/user-registered"
)

func TestGolden(t *testing.T) {
	t.Parallel()
	functiontest.Golden(t, userregistered.Spec)
}
