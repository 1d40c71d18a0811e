package outbox_test

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
	"github.com/millrace/millrace/runtime/outbox"
)

// A row is changed and its event is put in one transaction: what is taken back is not published.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "outbox")
	if err != nil {
		log.Fatal(err)
	}
	db, err := database.Open(ctx, database.Config{Kind: "sqlite", URL: config.NewSecret(filepath.Join(folder, "shop.db"))})
	if err != nil {
		log.Fatal(err)
	}
	box, err := outbox.New(ctx, db, nil)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := db.Write().ExecContext(ctx, "CREATE TABLE shelves (product TEXT PRIMARY KEY, pieces INTEGER CHECK (pieces >= 0))"); err != nil {
		log.Fatal(err)
	}

	reserve := func(product string, pieces int, id string) error {
		return db.Transact(ctx, func(tx *sql.Tx) error {
			const upsert = "INSERT INTO shelves VALUES ($1, 10 - $2) ON CONFLICT (product) DO UPDATE SET pieces = pieces - $2"
			err := box.Put(ctx, tx, "stock-events", happened(product, id))
			_, change := tx.ExecContext(ctx, upsert, product, pieces)
			return errors.Join(err, change)
		})
	}
	fmt.Println("7 pieces:", reserve("prod-1", 7, "a") == nil)
	fmt.Println("7 more:", reserve("prod-1", 7, "b") == nil)
	fmt.Println("3 more:", reserve("prod-1", 3, "c") == nil)

	published, err := box.Relay(ctx, func(_ context.Context, topic string, events ...event.Event) []error {
		for _, e := range events {
			fmt.Println("published to", topic+":", e.ID())
		}
		return nil
	})
	fmt.Println(published, err)
	fmt.Println(errors.Join(db.Close(), os.RemoveAll(folder)))
	// Output:
	// 7 pieces: true
	// 7 more: false
	// 3 more: true
	// published to stock-events: a
	// published to stock-events: c
	// 2 <nil>
	// <nil>
}
