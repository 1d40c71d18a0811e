package projection_test

import (
	"context"
	"database/sql"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/eventstore"
	"github.com/millrace/millrace/runtime/projection"
)

// A projection that counts the events of each stream.
func Example() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "projection")
	check(err)
	defer os.RemoveAll(folder)
	db, err := database.Open(ctx, database.Config{Kind: "sqlite", URL: config.NewSecret(filepath.Join(folder, "shop.db"))})
	check(err)
	defer db.Close()
	store, err := eventstore.New(ctx, db, nil)
	check(err)

	counts := projection.Definition{
		Name: "counts", Schema: 1, Tables: []string{"counts"},
		Create: func(ctx context.Context, tx *sql.Tx, t projection.Tables) error {
			_, err := tx.ExecContext(ctx, t.SQL("CREATE TABLE {counts} (stream text PRIMARY KEY, events bigint NOT NULL)"))
			return err
		},
		Apply: func(ctx context.Context, tx *sql.Tx, t projection.Tables, r eventstore.Recorded) error {
			const statement = `INSERT INTO {counts} AS c (stream, events) VALUES ($1, 1)
				ON CONFLICT (stream) DO UPDATE SET events = c.events + 1`
			_, err := tx.ExecContext(ctx, t.SQL(statement), r.Stream)
			return err
		},
	}
	view, err := projection.New(ctx, db, store, counts, nil)
	check(err)

	for _, id := range []string{"placed", "paid"} {
		e := event.New()
		e.SetID(id)
		e.SetSource("/order-service")
		e.SetType("dev.millrace.test." + id + ".v1")
		_, err := store.Append(ctx, eventstore.Write{Stream: "order/12345", Expected: eventstore.Any, Events: []event.Event{e}})
		check(err)
	}
	check(view.CatchUp(ctx))                                                                   // a program has view.Chore() do that
	check(view.Rebuild(ctx, &projection.RebuildOptions{Progress: func(p projection.Progress) { // beside the tables that are read
		fmt.Printf("generation %d: %d of %d\n", p.Generation, p.Position, p.Horizon)
	}}))

	err = projection.NewReader(db, counts).Read(ctx, func(ctx context.Context, tx *sql.Tx, t projection.Tables) error {
		var events int
		row := tx.QueryRowContext(ctx, t.SQL("SELECT events FROM {counts} WHERE stream = $1"), "order/12345")
		if err := row.Scan(&events); err != nil {
			return err
		}
		fmt.Println("events of the order:", events)
		return nil
	})
	check(err)
	// Output:
	// generation 2: 0 of 2
	// generation 2: 2 of 2
	// events of the order: 2
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
