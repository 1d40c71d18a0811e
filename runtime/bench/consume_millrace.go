package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
)

// consumeMillrace is a function's program at its defaults, as functions/*/bootstrap starts it: middleware, metrics and
// log included, without HTTP. It publishes an event for each where the job asks for that.
func consumeMillrace(ctx context.Context, j *job, t *tally) error {
	variables := environment(j)
	lookup := func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
	if status := boot.Command(ctx, nil, lookup, io.Discard, os.Stderr, []function.Spec{spec(j, t)}); status != 0 {
		return fmt.Errorf("the function ended with status %d", status)
	}
	return nil
}

func spec(j *job, t *tally) function.Spec {
	handler := function.Raw(func(_ context.Context, e event.Event) ([]event.Event, error) {
		if err := t.handle(e.ID()); err != nil || j.Output == "" {
			return nil, err
		}
		return []event.Event{newOutput(e)}, nil
	}, eventType)
	s := function.Spec{
		Name:  "bench",
		Topic: j.Topic,
		Group: j.Group,
		New:   func(function.Lookup) (function.Handler, error) { return handler, nil },
	}
	if j.Output != "" {
		s.Emits, s.Topics = []string{outputType}, map[string]string{outputType: j.Output}
	}
	return s
}

func environment(j *job) map[string]string {
	variables := map[string]string{
		"KAFKA_BROKERS":     strings.Join(j.Brokers, ","),
		"DEAD_LETTER_TOPIC": j.DeadLetters,
		"HTTP_ADDR":         "off",
		"LOG_LEVEL":         "error",
	}
	maps.Copy(variables, j.Settings)
	return variables
}
