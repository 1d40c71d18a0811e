package eventstore_test

import (
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/eventstore/eventstoretest"
)

// Appends of 1 and 10 small events, each to a stream of its own, by 16 writers at once, beside plain INSERTs of the same rows
// into the same table in a transaction.
func BenchmarkAppend(b *testing.B) {
	for _, kind := range kinds {
		for _, size := range []int{1, 10} {
			b.Run(fmt.Sprintf("%s/append/%d", kind.Name, size), func(b *testing.B) {
				store := kind.New(b)
				atOnce(b, size, func(n int64) error {
					w := eventstore.Write{Stream: "stream-" + strconv.FormatInt(n, 10)}
					for i := range size {
						w.Events = append(w.Events, eventstoretest.Event(fmt.Sprintf("%d-%d", n, i)))
					}
					_, err := store.Append(b.Context(), w)
					return err
				})
			})
			b.Run(fmt.Sprintf("%s/insert/%d", kind.Name, size), func(b *testing.B) {
				place := kind.Place(b)
				kind.Opened(b, place, nil) // creates the tables
				insert := inserter(b, kind, place, size)
				atOnce(b, size, insert)
			})
		}
	}
}

func atOnce(b *testing.B, size int, do func(n int64) error) {
	b.Helper()
	var n atomic.Int64
	b.SetParallelism(4)
	b.RunParallel(func(loop *testing.PB) {
		for loop.Next() {
			if err := do(n.Add(1)); err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "events/s")
}

// inserter returns what inserts rows as they are stored, one statement each.
func inserter(b *testing.B, kind eventstoretest.Kind, place string, size int) func(int64) error {
	b.Helper()
	db := kind.Database(b, place).Write()
	const (
		insert     = `INSERT INTO millrace_events (stream, version, identity, attributes, data, base64) VALUES ($1, $2, $3, $4, $5, $6)`
		attributes = `{"specversion":"1.0","id":"%s","source":"/order-service","type":"dev.millrace.test.happened.v1","subject":"subject of %[1]s",` +
			`"datacontenttype":"application/json","causationid":"cause of %[1]s","correlationid":"flow of %[1]s","partitionkey":"key of %[1]s"}`
	)
	return func(n int64) error {
		row := func(i int) []any {
			id := fmt.Sprintf("%d-%d", n, i)
			return []any{"stream-" + strconv.FormatInt(n, 10), i + 1, fmt.Appendf(nil, "%032s", id), fmt.Sprintf(attributes, id), fmt.Appendf(nil, `{"id":%q}`, id), false}
		}
		if size == 1 {
			_, err := db.ExecContext(b.Context(), insert, row(0)...)
			return err
		}
		tx, err := db.BeginTx(b.Context(), nil)
		if err != nil {
			return err
		}
		defer func() { _ = tx.Rollback() }() // after a commit there is nothing to roll back
		for i := range size {
			if _, err := tx.ExecContext(b.Context(), insert, row(i)...); err != nil {
				return err
			}
		}
		return tx.Commit()
	}
}

// Reading all events of a store, 1,000 at a time.
func BenchmarkReadAll(b *testing.B) {
	for _, kind := range kinds {
		b.Run(kind.Name, func(b *testing.B) {
			store := kind.New(b)
			w := eventstore.Write{Stream: "s"}
			for i := range eventstore.MaxEvents {
				w.Events = append(w.Events, eventstoretest.Event(strconv.Itoa(i)))
			}
			if _, err := store.Append(b.Context(), w); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if page, err := store.ReadAll(b.Context(), 0, eventstore.MaxRead); err != nil || len(page) != eventstore.MaxEvents {
					b.Fatal(len(page), err)
				}
			}
			b.ReportMetric(float64(b.N*eventstore.MaxEvents)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
