package inventory

import (
	"strings"
	"sync"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/runtime/database"
)

// Processes that start at once fill the shelves once, and later ones leave them as they are.
func TestANewShop(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		first := []event.Event{created(t, "a", "3 prod-0", "2 prod-99"), paid(t, "a")}
		var starting sync.WaitGroup
		for range 4 {
			starting.Go(func() {
				store, err := Open(t.Context(), c, 20)
				if err != nil {
					t.Error(err)
					return
				}
				defer store.Close()
				for _, e := range first {
					if _, err := handler(store).Handle(t.Context(), e); err != nil {
						t.Error(err)
					}
				}
			})
		}
		starting.Wait()
		s := opened(t, c, 50)
		for _, want := range []Stock{{"prod-0", 17, 3}, {"prod-1", 20, 0}, {"prod-99", 18, 2}} {
			if got := s.stock(t, want.ProductID); got != want {
				t.Errorf("stock is %+v, want %+v", got, want)
			}
		}
		if _, err := s.db.Write().ExecContext(t.Context(), "DELETE FROM inventory_stock WHERE product_id = 'prod-1'"); err != nil {
			t.Fatal(err)
		}
		s = opened(t, c, 50)
		var products, pieces int
		if err := s.db.Read().QueryRowContext(t.Context(), "SELECT count(*), sum(available + reserved) FROM inventory_stock").Scan(&products, &pieces); err != nil {
			t.Fatal(err)
		}
		if products != 99 || pieces != 1980 {
			t.Errorf("%d products, %d pieces", products, pieces)
		}
	})
}

func TestRestock(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 0)
		s.deliver(t, created(t, "a", "1 prod-1"))
		s.deliver(t, paid(t, "a"))
		for _, step := range []struct {
			product string
			want    Stock
		}{
			{"prod-1", Stock{"prod-1", 5, 0}},
			{"prod-1", Stock{"prod-1", 10, 0}},
			{"new", Stock{"new", 5, 0}},
		} {
			got, err := s.Restock(t.Context(), step.product, 5)
			if err != nil || got != step.want || s.stock(t, step.product) != step.want {
				t.Errorf("restocked %+v, %v, want %+v", got, err, step.want)
			}
		}
		s.deliver(t, created(t, "b", "10 prod-1", "2 new"))
		s.deliver(t, paid(t, "b"))
		s.deliver(t, created(t, "c", "1 prod-1"))
		s.deliver(t, paid(t, "c"))
		want := []string{
			"a rejected, missing 1 prod-1, too few of prod-1",
			"b reserved 2 new and 10 prod-1",
			"c rejected, missing 1 prod-1, too few of prod-1",
			"prod-1 out of stock",
			"prod-1 out of stock",
		}
		if diff := cmp.Diff(want, s.told(t)); diff != "" {
			t.Error(diff)
		}
		if got, err := s.Restock(t.Context(), "prod-1", 3); err != nil || got != (Stock{"prod-1", 3, 10}) {
			t.Errorf("restocked %+v, %v", got, err)
		}
		s.deliver(t, created(t, "d", "4 prod-1"))
		s.deliver(t, paid(t, "d"))
		want = []string{"d rejected, missing 1 prod-1, too few of prod-1", "prod-1 out of stock"}
		if diff := cmp.Diff(want, s.told(t)); diff != "" {
			t.Error(diff)
		}
	})
}

func TestRestockRefuses(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		s := opened(t, c, 10)
		for name, test := range map[string]struct {
			product string
			pieces  int64
		}{
			"no name":     {"", 1},
			"a long name": {strings.Repeat("ä", 257), 1},
			"NUL":         {"a\x00", 1},
			"no text":     {"\xff", 1},
			"nothing":     {"prod-1", 0},
			"less":        {"prod-1", -1},
			"too much":    {"prod-1", maxPieces + 1},
		} {
			if _, err := s.Restock(t.Context(), test.product, test.pieces); err == nil || !strings.Contains(err.Error(), "restock ") {
				t.Errorf("%s: error %v", name, err)
			}
		}
		if got := s.stock(t, "prod-1"); got != (Stock{"prod-1", 10, 0}) {
			t.Errorf("stock is %+v", got)
		}
	})
}

func TestSettings(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		environment map[string]string
		want        string
	}{
		"no database":    {nil, "DATABASE_URL"},
		"no stock":       {map[string]string{"INVENTORY_INITIAL_STOCK": "-1"}, "INVENTORY_INITIAL_STOCK"},
		"another kind":   {map[string]string{"DATABASE": "oracle"}, "DATABASE "},
		"no such folder": {map[string]string{"DATABASE_URL": "/nowhere/inventory.db"}, "function inventory: DATABASE_URL"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Spec.New(func(key string) (string, bool) { value, ok := test.environment[key]; return value, ok })
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// What the runtime makes of the Spec works on the database of the environment, and relays its outbox.
func TestSpec(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, c database.Config) {
		spec, err := Spec.Complete()
		if err != nil {
			t.Fatal(err)
		}
		environment := map[string]string{"DATABASE": c.Kind, "DATABASE_URL": c.URL.Reveal(), "INVENTORY_INITIAL_STOCK": "7"}
		h, err := spec.New(func(key string) (string, bool) { value, ok := environment[key]; return value, ok })
		if err != nil {
			t.Fatal(err)
		}
		s := h.(service)
		if got := (shop{s.store, h}).stock(t, "prod-5"); got.Available != 7 {
			t.Errorf("stock is %+v", got)
		}
		if chores := s.Chores(); len(chores) != 1 || chores[0].Name != "outbox" {
			t.Errorf("chores %+v", chores)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}
