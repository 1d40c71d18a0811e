package main

import (
	"context"
	"io"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/telemetry"
)

// consumeMillrace is a function's program at its defaults, as functions/*/bootstrap starts it: middleware, metrics and
// log included, without HTTP.
func consumeMillrace(ctx context.Context, in input, t *tally) error {
	handler := function.Raw(func(_ context.Context, e event.Event) ([]event.Event, error) {
		t.handle(e.ID())
		return nil, nil
	}, eventType)
	spec := function.Spec{
		Name:  "bench",
		Topic: in.topic,
		Group: in.group,
		New:   func(function.Lookup) (function.Handler, error) { return handler, nil },
	}
	environment := map[string]string{
		"KAFKA_BROKERS":     strings.Join(in.brokers, ","),
		"DEAD_LETTER_TOPIC": in.deadLetters,
		"HTTP_ADDR":         "off",
	}
	lookup := func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}
	return boot.Run(ctx, lookup, []function.Spec{spec}, &boot.Options{Log: telemetry.NewLogger(io.Discard, telemetry.Config{})})
}
