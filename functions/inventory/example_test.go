package inventory_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/millrace/millrace/functions/inventory"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/database"
)

func ExampleStore_Restock() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "shop")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	store, err := inventory.Open(ctx, database.Config{
		Kind: string(database.SQLite), URL: config.NewSecret(filepath.Join(folder, "inventory.db")),
	}, 10)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer store.Close()
	for _, product := range []string{"prod-7", "a new one"} {
		stock, err := store.Restock(ctx, product, 50)
		fmt.Println(stock.ProductID, stock.Available, err)
	}
	// Output:
	// prod-7 60 <nil>
	// a new one 50 <nil>
}
