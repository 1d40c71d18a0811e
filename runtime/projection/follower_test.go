package projection_test

import (
	"errors"

	"github.com/millrace/millrace/runtime/projection"
)

func follower() {}

func isNotBuilt(err error) bool {
	_, ok := errors.AsType[*projection.NotBuiltError](err)
	return ok
}
