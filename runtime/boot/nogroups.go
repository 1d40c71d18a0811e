//go:build lambda.norpc

package boot

import (
	"context"
	"errors"

	"github.com/millrace/millrace/runtime/function"
)

// runInGroups returns an error: a program that is built for Lambda has no other door. What joins groups and serves HTTP would be a
// twentieth of it.
func runInGroups(context.Context, function.Lookup, []function.Spec, *Options) error {
	return errors.New("this program was built for AWS Lambda, and AWS_LAMBDA_RUNTIME_API is not set: build it without the tag lambda.norpc")
}
