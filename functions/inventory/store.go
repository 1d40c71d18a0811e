package inventory

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"time"
	"unicode/utf8"

	fact "github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/runtime/database"
	"github.com/millrace/millrace/runtime/outbox"
)

//go:embed migrations
var files embed.FS

// initialProducts is how many products a new shop has.
const initialProducts = 100

// Store keeps the stock of the shop, and what is reserved for which order. Open one with [Open]. Its methods may be called
// from many goroutines, and several processes may have the same store open.
type Store struct {
	db     *database.DB
	outbox *outbox.Outbox
	now    func() time.Time
}

// Open opens the store in the database that c names, and creates its tables where they are missing. Where there is no
// product yet it puts in as many pieces of prod-0 to prod-99 as initialStock says.
func Open(ctx context.Context, c database.Config, initialStock int64) (*Store, error) {
	db, err := database.Open(ctx, c)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, now: time.Now}
	if err := s.prepare(ctx, initialStock); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

func (s *Store) prepare(ctx context.Context, initialStock int64) (err error) {
	root, err := fs.Sub(files, "migrations")
	if err != nil {
		return err
	}
	if err := s.db.Migrate(ctx, root, "inventory_migrations"); err != nil {
		return err
	}
	if s.outbox, err = outbox.New(ctx, s.db, &outbox.Options{Topics: []string{fact.Topic, product.Topic}}); err != nil {
		return err
	}
	if err := s.furnish(ctx, initialStock); err != nil {
		return fmt.Errorf("put the first products in stock: %w", err)
	}
	return nil
}

// furnish fills the shelves of a new shop. Processes that start at once fill them once.
func (s *Store) furnish(ctx context.Context, pieces int64) error {
	return s.db.Transact(ctx, func(tx *sql.Tx) error {
		var stocked bool
		if err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM inventory_stock)`).Scan(&stocked); err != nil || stocked {
			return err
		}
		for i := range initialProducts {
			const insert = `INSERT INTO inventory_stock (product_id, available) VALUES ($1, $2) ON CONFLICT DO NOTHING`
			if _, err := tx.ExecContext(ctx, insert, fmt.Sprintf("prod-%d", i), pieces); err != nil {
				return err
			}
		}
		return nil
	})
}

// Stock is how many pieces there are of a product.
type Stock struct {
	ProductID string
	// Available pieces may be reserved.
	Available int64
	// Reserved pieces are those that orders have, shipped or not.
	Reserved int64
}

// Restock adds pieces of a product, 1 to 1,000,000,000, and returns what there is then. The shop has the product from then
// on. It is told again when it runs out.
func (s *Store) Restock(ctx context.Context, productID string, pieces int64) (Stock, error) {
	if n := utf8.RuneCountInString(productID); n < 1 || n > maxProductID || !storable(productID) {
		return Stock{}, fmt.Errorf("restock %q: the id of a product has 1 to %d characters, none of them NUL", productID, maxProductID)
	}
	if pieces < 1 || pieces > maxPieces {
		return Stock{}, fmt.Errorf("restock %q: %d pieces are not 1 to %d", productID, pieces, maxPieces)
	}
	stock := Stock{ProductID: productID}
	err := s.db.Transact(ctx, func(tx *sql.Tx) error {
		return tx.QueryRowContext(ctx, `
INSERT INTO inventory_stock AS s (product_id, available) VALUES ($1, $2)
ON CONFLICT (product_id) DO UPDATE SET available = s.available + $2, told = false
RETURNING available, reserved`, productID, pieces).Scan(&stock.Available, &stock.Reserved)
	})
	if err != nil {
		return Stock{}, fmt.Errorf("restock %q: %w", productID, err)
	}
	return stock, nil
}

// Close closes the store.
func (s *Store) Close() error { return s.db.Close() }
