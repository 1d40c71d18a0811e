package orderapi_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"
)

// list is a page of a list.
type list struct {
	Orders       []struct{ OrderID string }
	Total, Pages int
}

// list reads a list and returns it with the places of its orders in placed.
func (s *shop) list(t *testing.T, path string, placed []string) (places []int, total, pages int) {
	t.Helper()
	var l list
	got := s.ask(t, "GET", path, "").must(t, http.StatusOK)
	if err := json.Unmarshal([]byte(got.body), &l, json.MatchCaseInsensitiveNames(true)); err != nil {
		t.Fatal(err)
	}
	for _, o := range l.Orders {
		for place, id := range placed {
			if id == o.OrderID {
				places = append(places, place)
			}
		}
	}
	if len(places) != len(l.Orders) {
		t.Errorf("%s has others than %q", got.body, placed)
	}
	return places, l.Total, l.Pages
}

func TestLists(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		var placed []string
		for i := range 25 {
			body := strings.Replace(basket, "customer-789", fmt.Sprintf("customer %%/%d", i%2), 1)
			placed = append(placed, s.ask(t, "POST", "/orders", body).must(t, http.StatusCreated).view(t).OrderID)
		}
		if err := s.environment.view(t).CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		for path, want := range map[string]list{
			"/orders":                  {Total: 25, Pages: 2},
			"/orders?page=2":           {Total: 25, Pages: 2},
			"/orders?page=3&limit=10":  {Total: 25, Pages: 3},
			"/orders?limit=100":        {Total: 25, Pages: 1},
			"/orders?page=1000000000":  {Total: 25, Pages: 2},
			"/customers/nobody/orders": {},
			"/customers/customer%20%25%2F1/orders?page=2&limit=5": {Total: 12, Pages: 3},
		} {
			_, total, pages := s.list(t, path, placed)
			if total != want.Total || pages != want.Pages {
				t.Errorf("%s: %d on %d pages, want %+v", path, total, pages, want)
			}
		}
		places, _, _ := s.list(t, "/orders?page=2&limit=3", placed)
		if diff := cmp.Diff([]int{21, 20, 19}, places); diff != "" {
			t.Error(diff)
		}
		places, _, _ = s.list(t, "/customers/customer%20%25%2F1/orders?page=2&limit=5", placed)
		if diff := cmp.Diff([]int{13, 11, 9, 7, 5}, places); diff != "" {
			t.Error(diff)
		}
	})
}

// A list shows of an order what the order shows of itself.
func TestWhatListsShow(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, s *shop) {
		const common = `"customerId":"customer-789","status":"%s","version":%d,"amount":99.00,"currency":"USD","itemCount":1,"orderDate":"NOW","payment":"manual",` +
			`"paid":{"paymentMethod":"cash","transactionId":"txn-1","paidAt":"NOW"}`
		shippedID, cancelledID := s.place(t), s.place(t)
		for _, step := range []struct{ path, body string }{
			{shippedID + "/payment", paid}, {shippedID + "/shipment", shipped}, {shippedID + "/delivery", ""},
			{cancelledID + "/payment", paid}, {cancelledID + "/cancellation", `{"reason":"changed my mind"}`},
		} {
			s.ask(t, "POST", "/orders/"+step.path, step.body).must(t, http.StatusOK)
		}
		if err := s.environment.view(t).CatchUp(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := `{"orders":[{"orderId":"ID",` + fmt.Sprintf(common, "cancelled", 3) +
			`,"cancelled":{"reason":"changed my mind","refundAmount":99.00,"cancelledAt":"NOW"}},` +
			`{"orderId":"ID",` + fmt.Sprintf(common, "delivered", 4) +
			`,"shipped":{"trackingNumber":"1Z999","carrier":"UPS","estimatedDelivery":"in 2-3 days","shippedAt":"NOW"},"delivered":{"deliveredAt":"NOW"}}],` +
			`"total":2,"pages":1}`
		if got := s.ask(t, "GET", "/customers/customer-789/orders", "").must(t, http.StatusOK).masked(); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	})
}
