package inventory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	fact "github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/order"
)

const (
	// maxProducts is how many different products an order may ask for: more than fit an order of the order service.
	maxProducts = 2000
	// maxPieces is how many pieces of a product an order gets: what events can tell of.
	maxPieces = 1_000_000_000
	// maxProductID is how many characters the id of a product has at most.
	maxProductID = 256
	// maxNamed is how many products of a kind a reason names.
	maxNamed = 3
	// maxReason is how much of a reason that another service told is repeated, in bytes.
	maxReason = 1000
)

// line is what an order asks for of a product, and what there is.
type line struct {
	productID string
	quantity  int64
	// known says that the shop has the product. available is 0 where it does not.
	known     bool
	available int64
	// told says that ProductOutOfStock was published and no pieces came in since.
	told bool
}

func byProduct(a, b line) int { return cmp.Compare(a.productID, b.productID) }

// missing is how many pieces the stock lacks. Lines of an order may add up to more than an order gets.
func (l line) missing() int64 { return max(0, l.quantity-min(l.available, maxPieces)) }

// storable tells whether both databases take id as a text.
func storable(id string) bool { return utf8.ValidString(id) && !strings.Contains(id, "\x00") }

// addUp returns the pieces of each product, sorted by product. The error says which limit the items exceed.
func addUp(items []order.Item) ([]line, error) {
	pieces := map[string]int64{}
	for _, item := range items {
		if !storable(item.ProductID) {
			return nil, fmt.Errorf("the id of product %q cannot be stored", item.ProductID)
		}
		pieces[item.ProductID] += int64(item.Quantity)
		if len(pieces) > maxProducts {
			return nil, fmt.Errorf("more than %d different products", maxProducts)
		}
	}
	lines := make([]line, 0, len(pieces))
	for id, quantity := range pieces {
		lines = append(lines, line{productID: id, quantity: quantity})
	}
	slices.SortFunc(lines, byProduct)
	return lines, nil
}

// exhausted returns the products of which an order takes the last piece.
func exhausted(lines []line) []string {
	var ids []string
	for _, l := range lines {
		if l.quantity == l.available {
			ids = append(ids, l.productID)
		}
	}
	return ids
}

// untold returns the products of which there are too few where nobody was told.
func untold(lacking []line) []string {
	var ids []string
	for _, l := range lacking {
		if l.known && !l.told && l.available < l.quantity {
			ids = append(ids, l.productID)
		}
	}
	return ids
}

// items says in the words of events what is asked for.
func items(lines []line) []fact.Item {
	words := make([]fact.Item, len(lines))
	for i, l := range lines {
		words[i] = fact.Item{ProductID: l.productID, Quantity: int(l.quantity)}
	}
	return words
}

// missingItems says in the words of events what is missing, as far as they have numbers for it.
func missingItems(lacking []line) []fact.Item {
	words := make([]fact.Item, len(lacking))
	for i, l := range lacking {
		words[i] = fact.Item{ProductID: l.productID, Quantity: int(min(l.missing(), maxPieces))}
	}
	return words
}

// reason says why an order is rejected.
func reason(lacking []line) string {
	var unknown, few []string
	for _, l := range lacking {
		if l.known {
			few = append(few, l.productID)
		} else {
			unknown = append(unknown, l.productID)
		}
	}
	var reasons []string
	if len(unknown) > 0 {
		reasons = append(reasons, "no such product: "+list(unknown))
	}
	if len(few) > 0 {
		reasons = append(reasons, "too few of "+list(few))
	}
	return strings.Join(reasons, "; ")
}

// list names the first few products.
func list(ids []string) string {
	if more := len(ids) - maxNamed; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(ids[:maxNamed], ", "), more)
	}
	return strings.Join(ids, ", ")
}

// short cuts a reason that another service told: with the items of an order it has to fit an event.
func short(reason string) string {
	return strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}
