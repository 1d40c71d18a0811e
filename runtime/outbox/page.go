package outbox

import (
	"context"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/internal/eventrow"
)

const (
	// pageRows and pageBytes bound what is read of a shard at once.
	pageRows  = 512
	pageBytes = 2 << 20
)

// waiting is an event that waits to be published.
type waiting struct {
	shard, position, lane int64
	topic                 string
	event                 event.Event
	// failed counts the times that it could not be published. err is why it could not be this time.
	failed int
	err    error
}

// read returns what is due in a shard, from the beginning and in order, and whether there is more.
func (b *Outbox) read(ctx context.Context, shard int64) (page []*waiting, more bool, err error) {
	rows, err := b.db.Read().QueryContext(ctx, b.dialect.read, b.db.Replanned(shard, pageRows)...)
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
