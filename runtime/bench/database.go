package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/outbox"
	"github.com/millrace/millrace/runtime/runtimetest/postgres"
)

const (
	// writers is how many transactions are asked for at once.
	writers = 16
	// appendTime is for how long each peer appends.
	appendTime = 2 * time.Second
	// answerTime is how long the broker of relay takes to acknowledge what it was given at once.
	answerTime = 2 * time.Millisecond
	outTopic   = "order-events"
)

// databases makes the databases of a figure, an empty one for each measurement.
type databases struct {
	kind   database.Kind
	folder string
	server *postgres.Server
	made   int
}

func openDatabases(kind database.Kind) (d *databases, err error) {
	d = &databases{kind: kind}
	if kind == database.Postgres {
		d.server, err = postgres.Run()
	} else {
		d.folder, err = os.MkdirTemp("", "bench-database-")
	}
	return d, err
}

func (d *databases) close() error {
	if d.server != nil {
		d.server.Stop()
	}
	return os.RemoveAll(d.folder)
}

// onDatabase returns what begins a figure on a kind of database.
func onDatabase(begin func(*bench, database.Kind) (*figure, error), kind database.Kind) func(*bench, context.Context) (*figure, error) {
	return func(b *bench, _ context.Context) (*figure, error) { return begin(b, kind) }
}

// ledger is an empty database with the tables of the event store and the outbox.
type ledger struct {
	db     *database.DB
	events *eventstore.Store
	outbox *outbox.Outbox
}

func (d *databases) open(ctx context.Context) (*ledger, error) {
	d.made++
	place := filepath.Join(d.folder, fmt.Sprint(d.made, ".db"))
	if d.server != nil {
		var err error
		if place, err = d.server.Create(ctx); err != nil {
			return nil, err
		}
	}
	db, err := database.Open(ctx, database.Config{Kind: string(d.kind), URL: config.NewSecret(place), Durable: true})
	if err != nil {
		return nil, err
	}
	l := &ledger{db: db}
	if l.events, err = eventstore.New(ctx, db, nil); err == nil {
		l.outbox, err = outbox.New(ctx, db, nil)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return l, nil
}

// appending compares how fast events are stored with what is to be published.
func (b *bench) appending(kind database.Kind) (*figure, error) {
	d, err := openDatabases(kind)
	if err != nil {
		return nil, err
	}
	return &figure{
		close:   d.close,
		name:    "append-" + string(kind),
		title:   fmt.Sprintf("%d writers at once, each transaction stores an event of a new stream and what is to be published of it", writers),
		columns: []column{{name: "events/s"}},
		goals:   []goal{ratioGoal(0, 0.7)},
		peers: []peer{
			{"plain INSERTs of the same rows", d.measure((*ledger).insertAll)},
			{"millrace eventstore and outbox", d.measure((*ledger).appendAll)},
		},
	}, nil
}

// relaying compares how fast events are published and removed with how fast they are stored.
func (b *bench) relaying(kind database.Kind) (*figure, error) {
	d, err := openDatabases(kind)
	if err != nil {
		return nil, err
	}
	events := max(b.settings.records/20, 1)
	return &figure{
		close:   d.close,
		name:    "relay-" + string(kind),
		title:   fmt.Sprintf("%d events of %d keys wait, are published to a broker that answers after %s, and removed", events, keys, answerTime),
		columns: []column{{name: "events/s"}},
		goals:   []goal{ratioGoal(0, 0.7)},
		peers: []peer{
			{fmt.Sprintf("plain INSERTs of the same rows, %d writers at once", writers), d.measure((*ledger).insertOutbox)},
			{"millrace outbox", d.measure(func(l *ledger, ctx context.Context) (float64, error) { return l.relayAll(ctx, events) })},
		},
	}, nil
}

// measure returns what measures work on an empty database, which tells how many events per second it stored or published.
func (d *databases) measure(work func(*ledger, context.Context) (float64, error)) func(context.Context) ([]float64, error) {
	return func(ctx context.Context) ([]float64, error) {
		l, err := d.open(ctx)
		if err != nil {
			return nil, err
		}
		rate, err := work(l, ctx)
		return []float64{rate}, errors.Join(err, l.db.Close())
	}
}

// atOnce has writers store events, one each time, and returns how many they stored in a second.
func atOnce(store func(n int) error) (float64, error) {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var writing sync.WaitGroup
	begin := time.Now()
	for range writers {
		writing.Go(func() {
			for time.Since(begin) < appendTime && failed.Load() == nil {
				if err := store(int(next.Add(1))); err != nil {
					failed.Store(&err)
				}
			}
		})
	}
	writing.Wait()
	if err := failed.Load(); err != nil {
		return 0, *err
	}
	return float64(next.Load()) / time.Since(begin).Seconds(), nil
}

// appendAll stores events as millrace does.
func (l *ledger) appendAll(ctx context.Context) (float64, error) {
	return atOnce(func(n int) error {
		e := newEvent(n)
		e.SetExtension(function.PartitionKey, streamName(n)) // writers of one key would wait for each other
		return l.db.Transact(ctx, func(tx *sql.Tx) error {
			write := eventstore.Write{Stream: streamName(n), Events: []event.Event{e}}
			if _, err := l.events.In(tx).Append(ctx, write); err != nil {
				return err
			}
			return l.outbox.Put(ctx, tx, outTopic, e)
		})
	})
}

func streamName(n int) string { return fmt.Sprintf("order/%d", n) }

// insertAll stores the same rows by one INSERT each, with nothing to make of them.
func (l *ledger) insertAll(ctx context.Context) (float64, error) {
	return atOnce(func(n int) error {
		return l.db.Transact(ctx, func(tx *sql.Tx) error {
			const (
				stream = `INSERT INTO millrace_streams (stream, version) VALUES ($1, 1)`
				event  = `INSERT INTO millrace_events (stream, version, identity, attributes, data, base64) VALUES ($1, 1, $2, $3, $4, $5)`
			)
			name, attributes, data := streamName(n), attributesOf(n), newEvent(n).DataEncoded
			if _, err := tx.ExecContext(ctx, stream, name); err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, event, name, fmt.Appendf(nil, "%032d", n), attributes, data, false); err != nil {
				return err
			}
			return insertOutboxRow(ctx, tx, n)
		})
	})
}

// attributesOf returns the text of an event's attributes, as long as it is stored.
func attributesOf(n int) string {
	return fmt.Sprintf(`{"specversion":"1.0","id":"%08d-e29b-41d4-a716-446655440000","source":"/order-service","type":%q,"subject":"order-%05d",`+
		`"datacontenttype":"application/json","time":"2026-11-23T10:00:00.123Z","correlationid":"req-789","partitionkey":"order-%05[1]d"}`, n, eventType, n)
}

// executor is a database or a transaction.
type executor interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func insertOutboxRow(ctx context.Context, x executor, n int) error {
	const insert = `INSERT INTO millrace_outbox (shard, lane, topic, attributes, data, base64) VALUES ($1, $2, $3, $4, $5, $6)`
	_, err := x.ExecContext(ctx, insert, n&7, n, outTopic, attributesOf(n), newEvent(n).DataEncoded, false)
	return err
}

// insertOutbox stores what is to be published by an INSERT for each event.
func (l *ledger) insertOutbox(ctx context.Context) (float64, error) {
	return atOnce(func(n int) error {
		return l.db.Transact(ctx, func(tx *sql.Tx) error { return insertOutboxRow(ctx, tx, n) })
	})
}

// relayAll has events wait, and publishes them.
func (l *ledger) relayAll(ctx context.Context, events int) (float64, error) {
	for n := 0; n < events; {
		var batch []event.Event
		for ; n < events && len(batch) < outbox.MaxEvents; n++ {
			batch = append(batch, newEvent(n))
		}
		if err := l.db.Transact(ctx, func(tx *sql.Tx) error { return l.outbox.Put(ctx, tx, outTopic, batch...) }); err != nil {
			return 0, err
		}
	}
	begin := time.Now()
	for published := 0; published < events; {
		some, err := l.outbox.Relay(ctx, func(context.Context, string, ...event.Event) []error {
			time.Sleep(answerTime)
			return nil
		})
		if err != nil {
			return 0, err
		}
		published += some
	}
	return float64(events) / time.Since(begin).Seconds(), nil
}
