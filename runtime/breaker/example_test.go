package breaker_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
)

func ExampleSet_Do() {
	circuits := breaker.NewSet(&breaker.Options{
		FailureThreshold: 2,
		RecoveryTimeout:  time.Minute,
		Log:              slog.New(slog.DiscardHandler),
	})
	charge := func(context.Context) error { return errors.New("connection refused") }
	for range 3 {
		err := circuits.Do(context.Background(), "payments", charge)
		fmt.Printf("%s: %v\n", function.VerdictOf(err), err)
	}
	fmt.Println(circuits.States())
	// Output:
	// unavailable: payments is unavailable: connection refused
	// unavailable: payments is unavailable: connection refused
	// unavailable: the circuit of payments is open; its last failure: payments is unavailable: connection refused
	// map[payments:open]
}
