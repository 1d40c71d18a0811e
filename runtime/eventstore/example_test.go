package eventstore_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
)

// newStore returns a store in a folder that goes with it.
func newStore(ctx context.Context) (*eventstore.Store, func()) {
	folder, err := os.MkdirTemp("", "events")
	if err != nil {
		log.Fatal(err)
	}
	db, err := database.Open(ctx, database.Config{Kind: "sqlite", URL: config.NewSecret(filepath.Join(folder, "events.db"))})
	if err != nil {
		log.Fatal(err)
	}
	store, err := eventstore.New(ctx, db, nil)
	if err != nil {
		log.Fatal(err)
	}
	return store, func() {
		db.Close()
		os.RemoveAll(folder)
	}
}

func happened(id, eventType string) event.Event {
	e := event.New()
	e.SetID(id)
	e.SetSource("/order-service")
	e.SetType(eventType)
	e.SetSubject("order-1")
	return e
}

// Two people decide on the same state of an order: one wins, the other one is told.
func ExampleStore_Append() {
	ctx := context.Background()
	store, closeStore := newStore(ctx)

	created := eventstore.Write{Stream: "order-1", Expected: eventstore.NoStream, Events: []event.Event{happened("1", "created")}}
	paid := eventstore.Write{Stream: "order-1", Expected: eventstore.Exactly(1), Events: []event.Event{happened("2", "paid")}}
	cancelled := eventstore.Write{Stream: "order-1", Expected: eventstore.Exactly(1), Events: []event.Event{happened("3", "cancelled")}}
	for _, w := range []eventstore.Write{created, paid, cancelled, paid} {
		appended, err := store.Append(ctx, w)
		if conflict, ok := errors.AsType[*eventstore.ConflictError](err); ok {
			fmt.Println("conflict: the order has version", conflict.Actual)
			continue
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("version %d, repeated: %t\n", appended[0].Version, appended[0].Repeated)
	}
	closeStore()
	// Output:
	// version 1, repeated: false
	// version 2, repeated: false
	// conflict: the order has version 2
	// version 2, repeated: true
}

// A projection keeps its rows and its position in one transaction, so that each event is in it once.
func ExampleStore_ReadAll() {
	ctx := context.Background()
	store, closeStore := newStore(ctx)
	if _, err := store.Append(ctx, eventstore.Write{Stream: "order-1", Events: []event.Event{happened("1", "created"), happened("2", "paid")}}); err != nil {
		log.Fatal(err)
	}

	page, err := store.ReadAll(ctx, 0, eventstore.MaxRead)
	if err != nil {
		log.Fatal(err)
	}
	err = store.Transact(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "CREATE TABLE orders (id TEXT PRIMARY KEY, status TEXT); CREATE TABLE position (position INTEGER)"); err != nil {
			return err
		}
		for _, r := range page {
			const upsert = "INSERT INTO orders VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET status = excluded.status"
			if _, err := tx.ExecContext(ctx, upsert, r.Stream, r.Event.Type()); err != nil {
				return err
			}
		}
		if _, err := tx.ExecContext(ctx, "INSERT INTO position VALUES (?)", page[len(page)-1].Position); err != nil {
			return err
		}
		var id, status string
		err := tx.QueryRowContext(ctx, "SELECT id, status FROM orders").Scan(&id, &status)
		fmt.Println(id, status)
		return err
	})
	if err != nil {
		log.Fatal(err)
	}
	closeStore()
	// Output:
	// order-1 paid
}
