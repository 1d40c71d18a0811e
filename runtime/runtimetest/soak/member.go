//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
)

// The names of the run, in a cluster of its own.
const (
	inputTopic  = "soak-events"
	outputTopic = "soak-outputs"
	letterTopic = "soak-dead-letters"
	group       = "soak"
	inputType   = "dev.millrace.soak.asked.v1"
	outputType  = "dev.millrace.soak.answered.v1"
)

// attempts is how often an event is tried.
const attempts = 5

// journalVariable names a member's journal.
const journalVariable = "SOAK_JOURNAL"

// work is the data of an event: what its handler is to do.
type work struct {
	// Milliseconds is how long the handler takes.
	Milliseconds int `json:"ms"`
	// Fails says that it fails each time.
	Fails bool `json:"fails,omitzero"`
}

// runMember runs the function until the process is told to stop, as any program of a function does.
func runMember(stderr io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	j, err := openJournal(os.Getenv(journalVariable))
	if err != nil {
		fmt.Fprintln(stderr, "soak member:", err)
		return exitFailed
	}
	err = boot.Run(ctx, os.LookupEnv, []function.Spec{spec(j)}, &boot.Options{
		Log:     slog.New(&listener{Handler: slog.NewTextHandler(stderr, nil), journal: j}),
		Started: j.joined,
	})
	if err != nil {
		fmt.Fprintln(stderr, "soak member:", err)
		return exitFailed
	}
	return exitOK
}

func spec(j *journal) function.Spec {
	return function.Spec{
		Name:     group,
		Topic:    inputTopic,
		Emits:    []string{outputType},
		Topics:   map[string]string{outputType: outputTopic},
		Attempts: attempts,
		New: func(function.Lookup) (function.Handler, error) {
			return function.Raw(func(_ context.Context, e event.Event) ([]event.Event, error) { return handle(j, e) }, inputType), nil
		},
	}
}

var errAlways = errors.New("this event always fails")

// handle does the work of an event. It does not look at its context: like much real work it cannot be stopped, only
// waited for.
func handle(j *journal, e event.Event) ([]event.Event, error) {
	began := monotonic() // before anything that can take its time when the process is about to be stopped
	var w work
	if err := json.Unmarshal(e.Data(), &w); err != nil {
		return nil, err
	}
	call := j.start(began, e.ID())
	time.Sleep(time.Duration(w.Milliseconds) * time.Millisecond)
	if w.Fails {
		j.end(call, "failed")
		return nil, errAlways
	}
	j.end(call, "ok")
	out := event.New()
	out.SetType(outputType)
	out.SetSubject(e.Subject())
	out.SetExtension(function.PartitionKey, e.Subject())
	return []event.Event{out}, nil
}

// releaseMessage is what the runtime logs when it lets a partition go.
const releaseMessage = "letting the partition go"

// listener takes down in the journal what the runtime's log tells of partitions.
type listener struct {
	slog.Handler

	journal   *journal
	partition slog.Value
}

// Handle implements [slog.Handler].
func (l *listener) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == releaseMessage && l.partition.Kind() == slog.KindInt64 {
		l.journal.released(l.partition.Int64())
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements [slog.Handler].
func (l *listener) WithAttrs(attrs []slog.Attr) slog.Handler {
	with := *l
	with.Handler = l.Handler.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key == "partition" {
			with.partition = a.Value
		}
	}
	return &with
}
