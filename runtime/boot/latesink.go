package boot

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkasink"
)

// lateSink is what a program of services only publishes to. Requests can be answered without Kafka, so the program also starts
// without it: where no broker answers then, lateSink connects when something is published, or when it is asked whether it is
// connected. Its methods may be called concurrently.
type lateSink struct {
	open func() (*kafkasink.Sink, error)
	// check tells what the cluster lacks.
	check func(*kafkasink.Sink) error
	log   *slog.Logger

	mu sync.Mutex
	// over is closed when the last attempt to connect has ended; busy says that it has not. sink or err are its result.
	over   chan struct{}
	busy   bool
	sink   *kafkasink.Sink
	err    error
	closed bool
}

// openLate tries to connect, which takes 5 s at most. The error is that of settings that never work, or of topics that are
// missing; lateSink is to be closed nevertheless where it is not nil.
func (p *process) openLate() (*lateSink, error) {
	s := p.settings
	if _, err := s.Kafka.Sarama(s.Telemetry.ServiceName); err != nil {
		return nil, err
	}
	l := &lateSink{
		open: func() (*kafkasink.Sink, error) {
			return kafkasink.Open(s.Kafka, s.Telemetry.ServiceName, s.sinkOptions())
		},
		check: func(sink *kafkasink.Sink) error { return requireChoreTopics(p.chores, sink) },
		log:   p.log,
	}
	<-l.attempt()
	if l.sink == nil {
		l.log.Warn("Kafka does not answer: the program starts nevertheless, what it publishes waits", "error", l.err)
		return l, nil
	}
	return l, l.check(l.sink)
}

// attempt starts to connect, unless it did or does, and returns what is closed when that is over.
func (l *lateSink) attempt() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.busy || l.sink != nil || l.closed {
		return l.over
	}
	first, over := l.over == nil, make(chan struct{})
	l.busy, l.over = true, over
	go func() {
		defer close(over)
		sink, err := l.open()
		l.mu.Lock()
		l.busy, l.sink, l.err = false, sink, err
		l.mu.Unlock()
		if !first && err == nil {
			l.tell(sink)
		}
	}()
	return over
}

// tell says that Kafka is there at last, and what it lacks: what needs that fails until it is there.
func (l *lateSink) tell(sink *kafkasink.Sink) {
	l.log.Info("Kafka answers now")
	if err := l.check(sink); err != nil {
		l.log.Error("what is published will fail", "error", err)
	}
}

// publish is a [function.Publish]. It connects first.
func (l *lateSink) publish(ctx context.Context, topic string, events ...event.Event) []error {
	sink, err := l.connect(ctx)
	if err != nil {
		err = function.Unavailable(kafkasink.Dependency, fmt.Errorf("publish to topic %s: %w", topic, err))
		return slices.Repeat([]error{err}, len(events))
	}
	return publisher(sink)(ctx, topic, events...)
}

// connect returns the sink, or why there is none when the attempt to connect is over or ctx ends.
func (l *lateSink) connect(ctx context.Context) (*kafkasink.Sink, error) {
	select {
	case <-l.attempt():
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.sink, l.err
}

// connected tells whether the cluster answers. Where there is no connection yet it has one made in the background.
func (l *lateSink) connected() bool {
	l.mu.Lock()
	sink := l.sink
	l.mu.Unlock()
	if sink != nil {
		return sink.Connected()
	}
	l.attempt()
	return false
}

// close ends the connection, when an attempt to make one is over.
func (l *lateSink) close() error {
	l.mu.Lock()
	l.closed = true
	over := l.over
	l.mu.Unlock()
	<-over
	if l.sink == nil {
		return nil
	}
	return l.sink.Close()
}
