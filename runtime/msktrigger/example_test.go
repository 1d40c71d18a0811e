package msktrigger_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
)

// A record asks to be tried again in an hour, which no invocation lasts: it is handed back, and what has its key with it.
func ExampleTrigger_Invoke() {
	spec := function.Spec{
		Name: "ship", Topic: topic,
		New: func(function.Lookup) (function.Handler, error) { return function.Raw(ship, placed), nil },
	}
	ready, err := pipeline.Make(spec, func(string) (string, bool) { return "", false })
	if err != nil {
		log.Fatal(err)
	}
	line, err := pipeline.New("ship", []pipeline.Function{ready}, nil, nil, nil)
	if err != nil {
		log.Fatal(err)
	}
	trigger := msktrigger.New(line, &msktrigger.Options{Log: slog.New(slog.DiscardHandler)})

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	answer, err := trigger.Invoke(ctx, payload(
		record{partition: 0, offset: 41, key: "order-1"},
		record{partition: 0, offset: 42, key: "order-2"},
		record{partition: 0, offset: 43, key: "order-1"},
		record{partition: 0, offset: 44, key: "order-2"},
	))
	fmt.Println(string(answer), err)
	// Output:
	// {"batchItemFailures":[{"itemIdentifier":{"partition":"orders-0","offset":42}},{"itemIdentifier":{"partition":"orders-0","offset":44}}]} <nil>
}

func ship(_ context.Context, e event.Event) ([]event.Event, error) {
	if e.ID() == "orders-0@42" {
		return nil, function.RetryAfter(time.Hour, errors.New("the warehouse is closed"))
	}
	return nil, nil
}
