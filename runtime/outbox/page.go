package outbox

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/internal/eventrow"
)

const (
	// pageRows and pageBytes bound what is read of a shard at once.
	pageRows  = 512
	pageBytes = 2 << 20
	// crowd is how many events of a lane there are in a page, on average, when others are looked for behind it. Looking takes long
	// where many wait: detourPause is for how many times as long it is not done again in a run.
	crowd       = 8
	detourPause = 10
)

// waiting is an event that waits to be published.
type waiting struct {
	shard, position, lane int64
	topic                 string
	event                 event.Event
	// failed counts the times that it could not be published. err is why it could not be this time.
	failed int
	err    error
	// beyond says that it was behind a page that few lanes had for themselves.
	beyond bool
}

// read returns what is due in a shard, from the beginning and in order, and whether there is more. A key that has most of a page
// keeps those behind it from being read: the page then has some of theirs, too.
func (b *Outbox) read(ctx context.Context, l *lease, shard int64) (page []*waiting, more bool, err error) {
	page, more, err = b.query(ctx, shard, b.dialect.read)
	if err != nil || !more || time.Now().Before(l.detours[shard]) {
		return page, more, err
	}
	lanes := lanesOf(page)
	if len(lanes)*crowd > len(page) {
		return page, more, nil
	}
	began := time.Now()
	beyond, _, err := b.query(ctx, shard, b.dialect.beyond, b.dialect.list(lanes))
	for _, w := range beyond {
		w.beyond = true
	}
	l.detours[shard] = time.Now().Add(detourPause * time.Since(began))
	return append(page, beyond...), more, err
}

// lanesOf returns the lanes of a page, each once.
func lanesOf(page []*waiting) []int64 {
	lanes := map[int64]bool{}
	for _, w := range page {
		lanes[w.lane] = true
	}
	return slices.Collect(maps.Keys(lanes))
}

// query returns the rows of a statement about a shard, and whether there are more than a page holds.
func (b *Outbox) query(ctx context.Context, shard int64, statement string, args ...any) (page []*waiting, more bool, err error) {
	rows, err := b.db.Read().QueryContext(ctx, statement, b.db.Replanned(append([]any{shard, pageRows}, args...)...)...)
	if err != nil {
		return nil, false, err
	}
	defer rows.Close()
	size := 0
	for size < pageBytes && rows.Next() {
		w := &waiting{shard: shard}
		var r eventrow.Row
		var hasData bool
		if err := rows.Scan(&w.position, &w.lane, &w.topic, &r.Attributes, &r.Data, &hasData, &r.Base64, &w.failed); err != nil {
			return nil, false, err
		}
		if hasData && r.Data == nil { // as drivers return empty data
			r.Data = []byte{}
		}
		w.event, w.err = r.Event()
		page = append(page, w)
		size += r.Size()
	}
	return page, len(page) == pageRows || size >= pageBytes, rows.Err()
}
