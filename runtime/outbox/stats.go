package outbox

import (
	"context"
	"errors"
	"time"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/internal/eventrow"
)

const (
	// maxStuck is how many stuck keys Stats names.
	maxStuck = 100
	// warnInterval is how often it is told at most that metrics stand still.
	warnInterval = time.Minute
)

// Stats tells how far publishing is behind.
type Stats struct {
	// Waiting is how many events are committed and not yet published.
	Waiting int64
	// Oldest is the age of the one that waits longest, 0 where none waits, by the clock of the database.
	Oldest time.Duration
	// StuckKeys is how many keys wait because their first event cannot be published.
	StuckKeys int64
	// Stuck are those events, the longest waiting ones first, at most 100.
	Stuck []Stuck
}

// Stuck is an event that cannot be published, for which those of the same topic and key wait. Once what Error says is mended, it
// is published within a minute. To give it up, delete its row, by its position.
type Stuck struct {
	// Position is that of its row in the table millrace_outbox.
	Position int64
	Topic    string
	// Key is empty where the event has none, or cannot be decoded.
	Key string
	// ID is the event's id.
	ID string
	// Attempts is how often it was to be published.
	Attempts int
	// Error is why it could not be the last time, at most 500 bytes.
	Error string
}

// Stats looks up how far publishing is behind. It reads all rows that wait: ask a few times a minute.
func (b *Outbox) Stats(ctx context.Context) (Stats, error) {
	var s Stats
	var age int64
	err := b.db.Read().QueryRowContext(ctx, b.dialect.count).Scan(&s.Waiting, &s.StuckKeys, &age)
	if err != nil {
		return Stats{}, wrap("count what waits", err)
	}
	s.Oldest = max(0, time.Duration(age)*time.Microsecond)
	if s.StuckKeys > 0 {
		s.Stuck, err = b.stuck(ctx)
	}
	return s, wrap("look for events that are stuck", err)
}

// measure is what metrics show of Stats. They stand still while it fails, as in a table that is too large to be counted in time.
func (b *Outbox) measure(ctx context.Context) (map[string]float64, error) {
	s, err := b.Stats(ctx)
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		b.warn(ctx, err)
	}
	return map[string]float64{
		"waiting": float64(s.Waiting), "oldest_seconds": s.Oldest.Seconds(), "stuck": float64(s.StuckKeys),
	}, err
}

// warn writes a line about a count that failed, unless there was one lately.
func (b *Outbox) warn(ctx context.Context, err error) {
	now, last := time.Now().UnixNano(), b.warned.Load()
	if now-last < int64(warnInterval) || !b.warned.CompareAndSwap(last, now) {
		return
	}
	b.options.Log.WarnContext(ctx, "what waits in the outbox cannot be counted: its metrics stand still", "error", err)
}

func (b *Outbox) stuck(ctx context.Context) ([]Stuck, error) {
	rows, err := b.db.Read().QueryContext(ctx, b.dialect.stuck, maxStuck)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []Stuck
	for rows.Next() {
		var s Stuck
		var r eventrow.Row
		if err := rows.Scan(&s.Position, &s.Topic, &r.Attributes, &s.Attempts, &s.Error); err != nil {
			return nil, err
		}
		if e, err := r.Event(); err == nil { // one that cannot be decoded has no id
			key, _ := kafkabinding.PartitionKey(e)
			s.ID, s.Key = e.ID(), string(key)
		}
		all = append(all, s)
	}
	return all, rows.Err()
}
