package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
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
		"LOG_LEVEL":         "error",
	}
	lookup := func(name string) (string, bool) {
		value, ok := environment[name]
		return value, ok
	}
	// The program sets the collector of its process; the other peers run with Go's default.
	defer debug.SetGCPercent(debug.SetGCPercent(100))
	if status := boot.Command(ctx, nil, lookup, io.Discard, os.Stderr, []function.Spec{spec}); status != 0 {
		return fmt.Errorf("the function ended with status %d", status)
	}
	return nil
}
