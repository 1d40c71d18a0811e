package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	// unacceptedEvery is how often a type that no function accepts is told, for each topic.
	unacceptedEvery = time.Minute
	// brokenEvery is how often a dependency that is down is told.
	brokenEvery = 10 * time.Second
	// maxReminders bounds the topics and types, or the dependencies, that are told apart.
	maxReminders = 1024
	// maxType bounds the part of an event type that is told and remembered, in bytes.
	maxType = 256
)

// OutcomeLog writes a line for the outcomes of a pipeline. It is a pipeline.Observer; its methods may be called
// concurrently. A line names topic, partition, offset, event id, function, consumer group and attempt, and
// trace_id where the record has a trace; never a payload.
//
//	done                          debug
//	dropped on purpose            info
//	passed by                     debug: function.ErrPassedBy
//	failed, tried again           info after the first attempt, then warn
//	dependency down               warn, at most once in 10 s for each dependency
//	waits, for an open circuit    debug: runtime/breaker tells of each change of a circuit
//	type that nobody accepts      warn, at most once a minute for each topic and type
//	dead letter                   error
//
// A line that stands for several outcomes says for how many since the one before, as count.
type OutcomeLog struct {
	log        *slog.Logger
	unaccepted *reminders
	broken     *reminders
}

// NewOutcomeLog returns an OutcomeLog that writes to log.
func NewOutcomeLog(log *slog.Logger) *OutcomeLog {
	return &OutcomeLog{log: log, unaccepted: newReminders(unacceptedEvery), broken: newReminders(brokenEvery)}
}

// Observe writes the line of an outcome.
func (l *OutcomeLog) Observe(o *pipeline.Outcome) {
	switch o.Verdict {
	case function.Done:
		l.done(o)
	case function.Dropped:
		l.dropped(o)
	case function.Retry:
		level := slog.LevelInfo
		if o.Attempt > 1 {
			level = slog.LevelWarn
		}
		l.write(level, "attempt failed, the record is tried again", o, slog.Any("error", o.Err), slog.Duration("after", o.After))
	case function.Broken:
		l.waits(o)
	case function.DeadLetter:
		l.write(slog.LevelError, "dead-lettered", o, slog.Any("error", o.Err), slog.String("class", letterClass(o.Err)))
	}
}

// done is on the hot path: it makes nothing when nobody reads it.
func (l *OutcomeLog) done(o *pipeline.Outcome) {
	if l.reads(slog.LevelDebug) {
		l.write(slog.LevelDebug, "done", o, slog.Duration("took", o.Took), slog.Int("emitted", len(o.Emitted)))
	}
}

func (l *OutcomeLog) reads(level slog.Level) bool { return l.log.Enabled(context.Background(), level) }

func (l *OutcomeLog) dropped(o *pipeline.Outcome) {
	if errors.Is(o.Err, function.ErrPassedBy) {
		if l.reads(slog.LevelDebug) {
			l.write(slog.LevelDebug, "passed by", o, slog.Any("reason", o.Err))
		}
		return
	}
	if o.Function != "" {
		l.write(slog.LevelInfo, "dropped on purpose", o, slog.Any("reason", o.Err))
		return
	}
	eventType, _ := cutText(o.Event.Type(), maxType)
	if count := l.unaccepted.due(reminder{o.Record.Topic, eventType}, time.Now()); count > 0 {
		l.write(slog.LevelWarn, "no function of the group accepts this type: its records are passed by", o,
			slog.String("type", eventType), slog.Int("count", count))
	}
}

func (l *OutcomeLog) waits(o *pipeline.Outcome) {
	if isWait(o.Err) {
		if l.reads(slog.LevelDebug) {
			l.write(slog.LevelDebug, "the record waits", o, slog.Any("error", o.Err), slog.Duration("after", o.After))
		}
		return
	}
	dependency := other
	if unavailable, ok := errors.AsType[*function.UnavailableError](o.Err); ok {
		dependency = unavailable.Dependency
	}
	if count := l.broken.due(reminder{name: dependency}, time.Now()); count > 0 {
		l.write(slog.LevelWarn, "a dependency is down: records wait, no attempt is spent", o,
			slog.String("dependency", dependency), slog.Any("error", o.Err), slog.Duration("after", o.After), slog.Int("count", count))
	}
}

func (l *OutcomeLog) write(level slog.Level, message string, o *pipeline.Outcome, attrs ...slog.Attr) {
	where := []slog.Attr{
		slog.String("topic", o.Record.Topic),
		slog.Int("partition", int(o.Record.Partition)),
		slog.Int64("offset", o.Record.Offset),
		slog.String("event_id", o.Event.ID()),
		slog.String("function", o.Function),
		slog.String("consumer_group", o.Group),
		slog.Int("attempt", o.Attempt),
	}
	if id := o.Trace().ID(); id != "" {
		where = append(where, slog.String("trace_id", id))
	}
	l.log.LogAttrs(context.Background(), level, message, append(where, attrs...)...)
}

// reminder is what is told once in a while: an event type of a topic, or a dependency.
type reminder struct{ topic, name string }

// reminders says when a reminder is due.
type reminders struct {
	every time.Duration

	mu   sync.Mutex
	told map[reminder]*since
}

// since is when a reminder was last told, and how often it came up afterwards.
type since struct {
	at    time.Time
	count int
}

func newReminders(every time.Duration) *reminders {
	return &reminders{every: every, told: map[reminder]*since{}}
}

// due counts r. It returns how often r came up since it was last told, if it is to be told now, else 0.
func (s *reminders) due(r reminder, now time.Time) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	last, ok := s.told[r]
	if !ok {
		last = s.remember(r, now)
	}
	last.count++
	if now.Sub(last.at) < s.every {
		return 0
	}
	count := last.count
	last.at, last.count = now, 0
	return count
}

// remember makes room for r. When every place is taken by one that was told lately, r shares a place with all others
// that found none.
func (s *reminders) remember(r reminder, now time.Time) *since {
	if len(s.told) >= maxReminders {
		if last, ok := s.told[crowd]; ok && now.Sub(last.at) < s.every {
			return last
		}
		s.forget(now)
	}
	if len(s.told) >= maxReminders {
		r = crowd
	}
	// The strings may point into a fetch response: a clone does not keep it.
	last := &since{}
	s.told[reminder{strings.Clone(r.topic), strings.Clone(r.name)}] = last
	return last
}

// crowd is the place that reminders share.
var crowd = reminder{name: other}

// forget removes what was not told lately.
func (s *reminders) forget(now time.Time) {
	for r, last := range s.told {
		if now.Sub(last.at) >= s.every {
			delete(s.told, r)
		}
	}
}
