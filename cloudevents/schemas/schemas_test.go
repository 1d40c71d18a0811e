package schemas_test

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/cloudevents/schemas/internal/document"
)

// file names a type's document and sample.
func file(eventType string) string { return strings.TrimPrefix(eventType, "dev.millrace.") + ".json" }

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDocumentsAreUpToDate(t *testing.T) {
	t.Parallel()
	want, err := document.All()
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if _, ok := want[entry.Name()]; strings.HasSuffix(entry.Name(), ".json") && !ok {
			t.Errorf("%s belongs to no payload type", entry.Name())
		}
	}
	for name, text := range want {
		if got, err := os.ReadFile(name); err != nil || string(got) != string(text) {
			t.Errorf("%s is out of date, run: go generate ./cloudevents/schemas (%v)", name, err)
		}
	}
}

// testdata/published has the documents as of the last release. A release copies the current ones there.
func TestDocumentsStayCompatible(t *testing.T) {
	t.Parallel()
	published, err := os.ReadDir("testdata/published")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range published {
		older, newer := read(t, "testdata/published/"+entry.Name()), read(t, entry.Name())
		if err := schemas.Compatible(older, newer); err != nil {
			t.Errorf("%s breaks with what was published, give it a new version:\n%v", entry.Name(), err)
		}
	}
}

func TestCatalogueHasEachPayload(t *testing.T) {
	t.Parallel()
	wellNamed := regexp.MustCompile(`^dev\.millrace\.[a-z]+\.[a-z]+(-[a-z]+)*\.v[1-9][0-9]*$`)
	all := map[string]schemas.Type{}
	for _, entry := range schemas.All() {
		all[entry.Name] = entry
	}
	for _, payload := range document.Payloads() {
		name := payload.EventType()
		entry, ok := all[name]
		if !ok || !wellNamed.MatchString(name) {
			t.Errorf("%T: type %s is badly named or not in the catalogue", payload, name)
			continue
		}
		delete(all, name)
		if got, _ := schemas.Lookup(name); got != entry {
			t.Errorf("Lookup(%s) is %v, want %v", name, got, entry)
		}
		if got, _ := schemas.ByEnvelope(entry.Envelope); got != entry {
			t.Errorf("ByEnvelope(%s) is %v, want %v", entry.Envelope, got, entry)
		}
		if text, _ := schemas.Schema(name); !strings.Contains(string(text), name) {
			t.Errorf("Schema(%s) is %q", name, text)
		}
	}
	if len(all) > 0 {
		t.Errorf("in the catalogue without a payload type: %v", all)
	}
}

func TestCatalogueIsSorted(t *testing.T) {
	t.Parallel()
	var names []string
	for _, entry := range schemas.All() {
		names = append(names, fmt.Sprintf("%s %s %s", entry.Name, entry.Envelope, entry.Topic))
	}
	want := []string{
		"dev.millrace.inventory.rejected.v1 InventoryRejected order-events",
		"dev.millrace.inventory.released.v1 InventoryReleased order-events",
		"dev.millrace.inventory.reserved.v1 InventoryReserved order-events",
		"dev.millrace.notification.admin-alerted.v1 AdminAlerted notification-events",
		"dev.millrace.notification.email-sent.v1 EmailSent notification-events",
		"dev.millrace.notification.failed.v1 NotificationFailed notification-events",
		"dev.millrace.notification.requested.v1 NotificationRequested notification-events",
		"dev.millrace.notification.sent.v1 NotificationSent notification-events",
		"dev.millrace.notification.sms-sent.v1 SmsSent notification-events",
		"dev.millrace.order.cancelled.v1 OrderCancelled order-events",
		"dev.millrace.order.created.v1 OrderCreated order-events",
		"dev.millrace.order.delivered.v1 OrderDelivered order-events",
		"dev.millrace.order.paid.v1 OrderPaid order-events",
		"dev.millrace.order.processing-started.v1 OrderProcessingStarted order-events",
		"dev.millrace.order.refunded.v1 OrderRefunded order-events",
		"dev.millrace.order.shipped.v1 OrderShipped order-events",
		"dev.millrace.payment.failed.v1 PaymentFailed order-events",
		"dev.millrace.payment.processed.v1 PaymentProcessed order-events",
		"dev.millrace.payment.refunded.v1 PaymentRefunded order-events",
		"dev.millrace.product.out-of-stock.v1 ProductOutOfStock product-events",
		"dev.millrace.product.price-changed.v1 PriceChanged product-events",
		"dev.millrace.product.updated.v1 ProductUpdated product-events",
		"dev.millrace.user.logged-in.v1 UserLoggedIn user-events",
		"dev.millrace.user.registered.v1 UserRegistered user-events",
	}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Error(diff)
	}
}

func TestUnknownTypes(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "OrderCreated", "com.example.thing", "dev.millrace.order.created.v2", "../../go.mod"} {
		if _, ok := schemas.Lookup(name); ok {
			t.Errorf("Lookup(%q) found something", name)
		}
		if _, ok := schemas.Schema(name); ok {
			t.Errorf("Schema(%q) found something", name)
		}
		if err := schemas.Validate(name, []byte("anything")); err != nil {
			t.Errorf("Validate(%q): %v", name, err)
		}
	}
	if _, ok := schemas.ByEnvelope(order.CreatedType); ok {
		t.Error("ByEnvelope found a CloudEvents type")
	}
}

func TestUserLoginIsUserLoggedIn(t *testing.T) {
	t.Parallel()
	login, ok := schemas.ByEnvelope("UserLogin")
	loggedIn, _ := schemas.ByEnvelope("UserLoggedIn")
	if !ok || login != loggedIn {
		t.Errorf("UserLogin is %v, UserLoggedIn is %v", login, loggedIn)
	}
}

// Each sample has every member of its type. It fits the schema, and comes back from the Go type byte for byte.
func TestSamplesComeBack(t *testing.T) {
	t.Parallel()
	for _, payload := range document.Payloads() {
		t.Run(payload.EventType(), func(t *testing.T) {
			t.Parallel()
			sample := jsontext.Value(read(t, "testdata/samples/"+file(payload.EventType())))
			if err := sample.Compact(); err != nil {
				t.Fatal(err)
			}
			if err := schemas.Validate(payload.EventType(), sample); err != nil {
				t.Error(err)
			}
			decoded := reflect.New(reflect.TypeOf(payload))
			if err := json.Unmarshal(sample, decoded.Interface(), json.RejectUnknownMembers(true)); err != nil {
				t.Fatal(err)
			}
			requireEachMember(t, decoded.Elem())
			again, err := json.Marshal(decoded.Interface())
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(sample), string(again)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// requireEachMember fails for each field that JSON knows and v leaves empty.
func requireEachMember(t *testing.T, v reflect.Value) {
	t.Helper()
	for field, value := range v.Fields() {
		switch {
		case field.Tag.Get("json") == "-":
		case field.Anonymous:
			requireEachMember(t, value)
		case value.IsZero():
			t.Errorf("the sample leaves %s.%s empty", v.Type(), field.Name)
		}
	}
}
