package order_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	fact "github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/functions/internal/order"
)

const createdSnapshot = `{"format":1,"version":1,"facts":[{"type":"dev.millrace.order.created.v1","data":` +
	`{"orderId":"12345","customerId":"customer-789","amount":99.00,"currency":"EUR",` +
	`"items":[{"productId":"prod-4","quantity":2,"price":49.50}],"orderDate":"2023-12-01T12:00:00Z","payment":"manual"}}]}`

// The form of a snapshot is what other versions of the program read: a change of it raises the format.
func TestSnapshot(t *testing.T) {
	t.Parallel()
	o, _ := after(t, "create")
	data, err := o.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(createdSnapshot, string(data)); diff != "" {
		t.Error(diff)
	}
	if data, err := order.New("12345").Snapshot(); err == nil {
		t.Errorf("an order that is not created has the snapshot %s", data)
	}
}

func TestSnapshotsComeBack(t *testing.T) {
	t.Parallel()
	for _, tt := range life[1:] {
		o, _ := after(t, tt.way...)
		data, err := o.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		again, err := order.Restore("12345", data)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(o, again); diff != "" {
			t.Errorf("after %v:\n%s", tt.way, diff)
		}
	}
}

// Of a kind of fact that was told twice the order holds the later one, and counts both.
func TestSnapshotOfFactsToldTwice(t *testing.T) {
	t.Parallel()
	shipped, _ := after(t, "create", "pay", "ship")
	again, err := shipped.Apply(fact.Shipped{OrderID: "12345", CustomerID: "customer-789", Carrier: "Swift Post"})
	if err != nil {
		t.Fatal(err)
	}
	data, err := again.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	restored, err := order.Restore("12345", data)
	if err != nil || restored.Version != 4 || restored.Shipped.Carrier != "Swift Post" {
		t.Errorf("version %d, shipped by %s, %v, want version 4, shipped by Swift Post", restored.Version, restored.Shipped.Carrier, err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	t.Parallel()
	replace := func(old, with string) string { return strings.Replace(createdSnapshot, old, with, 1) }
	paid := `{"type":"dev.millrace.order.paid.v1","data":{"orderId":"12345","customerId":"customer-789"}}`
	tests := map[string]struct{ data, want string }{
		"nothing":              {"", "unexpected EOF"},
		"another format":       {replace(`"format":1`, `"format":2`), "its format is not 1"},
		"no format":            {replace(`"format":1,`, ``), "its format is not 1"},
		"a member more":        {replace(`"version"`, `"extra":1,"version"`), `unknown object member name "extra"`},
		"a member twice":       {replace(`"version":1`, `"version":1,"version":1`), `duplicate`},
		"something behind it":  {createdSnapshot + `{}`, "after top-level value"},
		"no facts":             {`{"format":1,"version":1,"facts":[]}`, "its version does not fit its facts"},
		"no version":           {replace(`"version":1,`, ``), "its version does not fit its facts"},
		"version before facts": {replace(`}]}`, `},`+paid+`]}`), "its version does not fit its facts"},
		"version below 0":      {replace(`"version":1`, `"version":-1`), "its version does not fit its facts"},
		"a fact twice":         {replace(`"version":1`, `"version":3`)[:len(createdSnapshot)-2] + `,` + paid + `,` + paid + `]}`, "its version does not fit its facts"},
		"another order":        {replace(`"orderId":"12345"`, `"orderId":"54321"`), "another order"},
		"not created":          {`{"format":1,"version":1,"facts":[` + paid + `]}`, "must be created first"},
		"a fact of nobody":     {replace("order.created", "order.wrapped"), "dev.millrace.order.wrapped.v1"},
		"a fact that is none":  {replace(`"amount":99.00`, `"amount":"many"`), "/amount"},
		"a fact without data":  {`{"format":1,"version":1,"facts":[{"type":"dev.millrace.order.paid.v1"}]}`, "is empty"},
		"too large":            {createdSnapshot + strings.Repeat(" ", 8*order.MaxFactSize), "more than 491520 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o, err := order.Restore("12345", []byte(tt.data))
			if !errors.Is(err, order.ErrSnapshot) || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "order 12345: ") {
				t.Errorf("got %v, want it to say %q", err, tt.want)
			}
			if diff := cmp.Diff(order.Order{}, o); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// Whatever is stored as a snapshot is refused, or an order that comes back from its own snapshot and can go on living.
func FuzzRestore(f *testing.F) {
	for _, tt := range life[1:] {
		o, _ := after(f, tt.way...)
		data, err := o.Snapshot()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"format":1,"version":9223372036854775807,"facts":[]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := order.Restore("12345", data)
		if err != nil {
			if !errors.Is(err, order.ErrSnapshot) {
				t.Fatal(err)
			}
			return
		}
		again, err := o.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		restored, err := order.Restore("12345", again)
		if err != nil {
			t.Fatalf("%s comes back as %s: %v", data, again, err)
		}
		if diff := cmp.Diff(o, restored); diff != "" {
			t.Fatal(diff)
		}
		for name, run := range commands {
			facts, err := run(o)
			if err != nil {
				continue
			}
			if _, err := o.Apply(facts...); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	})
}
