package chaos_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/millrace/millrace/runtime/chaos"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Each third attempt fails, when its work is done.
func ExampleFailAfter() {
	handle := func(context.Context, *pipeline.Delivery) error {
		fmt.Println("work")
		return nil
	}
	handle = chaos.FailAfter(chaos.Every(3), errors.New("the answer got lost"))(handle)
	for range 3 {
		fmt.Println(handle(context.Background(), &pipeline.Delivery{}))
	}
	// Output:
	// work
	// <nil>
	// work
	// <nil>
	// work
	// the answer got lost
}
