package schemas_test

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/cloudevents/schemas/internal/document"
	"github.com/millrace/millrace/cloudevents/user"
)

// nest returns an order with a member that no schema names, nested depth deep.
func nest(depth int) string {
	return `{"orderId":"1","customerId":"2","amount":3,"extra":` +
		strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
}

// pad returns an order of size bytes.
func pad(size int) string {
	const data = `{"orderId":"1","customerId":"2","amount":3}`
	return data + strings.Repeat(" ", size-len(data))
}

func TestValidData(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ name, data string }{
		"the tutorial's order": {order.CreatedType, tutorialOrder},
		"the tutorial's load test: no currency, address, date": {order.CreatedType,
			`{"orderId":"order-0","customerId":"customer-7","amount":42,"items":[{"productId":"prod-1","quantity":5,"price":10}]}`},
		"only what is required":          {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3}`},
		"null for what is not known":     {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"currency":null,"items":null,"shippingAddress":null,"orderDate":null,"payment":null}`},
		"to be paid by hand":             {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"payment":"manual"}`},
		"null in an address and an item": {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[{"productId":"p","quantity":1,"price":null}],"shippingAddress":{"city":null}}`},
		"members nobody named":           {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"channel":"web","items":[{"productId":"p","quantity":1,"sku":{"a":[1]}}],"shippingAddress":{"zipCode":"1"}}`},
		"an amount as a string":          {order.CreatedType, `{"orderId":"1","customerId":"2","amount":"99.99"}`},
		"an amount of 0":                 {order.CreatedType, `{"orderId":"1","customerId":"2","amount":0}`},
		"an address in one line":         {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"shippingAddress":"1 Main Street"}`},
		"currency in lower case":         {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"currency":"usd"}`},
		"id of 256 characters":           {order.CreatedType, fmt.Sprintf(`{"orderId":%q,"customerId":"2","amount":3}`, strings.Repeat("ä", 256))},
		"1 MiB":                          {order.CreatedType, pad(schemas.MaxSize)},
		"nested 64 deep":                 {order.CreatedType, nest(schemas.MaxDepth)},
		"paid":                           {order.PaidType, `{"orderId":"1","customerId":"2"}`},
		"shipped, delivery in words":     {order.ShippedType, `{"orderId":"1","customerId":"2","estimatedDelivery":"in 2-3 days"}`},
		"processing started":             {order.ProcessingStartedType, `{"orderId":"1","customerId":"2"}`},
		"delivered":                      {order.DeliveredType, `{"orderId":"1","customerId":"2"}`},
		"cancelled":                      {order.CancelledType, `{"orderId":"1","customerId":"2"}`},
		"order refunded":                 {order.RefundedType, `{"orderId":"1","customerId":"2","amount":1}`},
		"registered":                     {user.RegisteredType, `{"userId":"1"}`},
		"logged in":                      {user.LoggedInType, `{"userId":"1"}`},
		"updated":                        {product.UpdatedType, `{"productId":"1"}`},
		"price changed":                  {product.PriceChangedType, `{"productId":"1","newPrice":1.5}`},
		"out of stock":                   {product.OutOfStockType, `{"productId":"1"}`},
		"processed":                      {payment.ProcessedType, `{"orderId":"1","amount":1}`},
		"payment failed":                 {payment.FailedType, `{"orderId":"1"}`},
		"refunded":                       {payment.RefundedType, `{"orderId":"1","amount":1}`},
		"reserved":                       {inventory.ReservedType, `{"orderId":"1"}`},
		"rejected":                       {inventory.RejectedType, `{"orderId":"1"}`},
		"released":                       {inventory.ReleasedType, `{"orderId":"1"}`},
		"alert without a recipient":      {notification.RequestedType, `{"type":"admin_alert","template":"product_out_of_stock","data":{"productId":"1"}}`},
		"channel nobody knows":           {notification.RequestedType, `{"type":"pigeon","recipient":"1","template":"welcome"}`},
		"template data of any form":      {notification.RequestedType, `{"type":"sms","recipient":"1","template":"t","data":{"a":1e300,"b":[{"c":null}],"ID":1,"id":2}}`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := schemas.Validate(tt.name, []byte(tt.data)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestInvalidData(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ name, data, want string }{
		"empty":                       {order.CreatedType, ``, `is empty`},
		"white space":                 {order.CreatedType, " \r\n\t", `is empty`},
		"not JSON":                    {order.CreatedType, `orderId=1`, `is not JSON, at byte 0`},
		"cut off":                     {order.CreatedType, `{"orderId":"1"`, `is not JSON: it ends too early, after 14 bytes`},
		"two values":                  {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3}{}`, `goes on after the JSON value, which ends at byte 43`},
		"rubbish behind the value":    {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3}}`, `goes on after the JSON value, which ends at byte 43`},
		"invalid UTF-8":               {order.CreatedType, "{\"orderId\":\"\xff\"}", `is not JSON, at byte 12`},
		"byte order mark":             {order.CreatedType, "\ufeff{}", `is not JSON, at byte 0`},
		"UTF-16":                      {order.CreatedType, "{\x00\"\x00", `is not JSON, at byte 1`},
		"another type":                {order.CreatedType, `[1]`, `is array, must be object`},
		"null":                        {order.CreatedType, `null`, `is null, must be object`},
		"nothing in it":               {order.CreatedType, `{}`, `/amount is missing; /customerId is missing; /orderId is missing`},
		"a name twice":                {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"orderId":"4"}`, `has a name twice in one object, at byte 43`},
		"an unknown name twice":       {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"x":{"y":1,"y":2}}`, `has a name twice in one object, at byte 54`},
		"a name twice, once escaped":  {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"order\u0049d":"4"}`, `has a name twice in one object, at byte 43`},
		"a name in other case":        {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"orderID":"4"}`, `/orderId is also there with a name of other case`},
		"only a name in other case":   {order.CreatedType, `{"OrderId":"1","customerId":"2","amount":3}`, `/orderId is also there with a name of other case; /orderId is missing`},
		"other case in an item":       {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[{"productId":"p","quantity":1,"Price":3}]}`, `/items/0/price is also there with a name of other case`},
		"null for what is required":   {order.CreatedType, `{"orderId":null,"customerId":"2","amount":null}`, `/amount is null, must be number or string; /orderId is null, must be string`},
		"number for an id":            {order.CreatedType, `{"orderId":1,"customerId":"2","amount":3}`, `/orderId is number, must be string`},
		"empty id":                    {order.CreatedType, `{"orderId":"","customerId":"2","amount":3}`, `/orderId has 0 characters, must have at least 1`},
		"long id":                     {order.CreatedType, fmt.Sprintf(`{"orderId":%q,"customerId":"2","amount":3}`, strings.Repeat("ä", 257)), `/orderId has 257 characters, may have at most 256`},
		"negative amount":             {order.CreatedType, `{"orderId":"1","customerId":"2","amount":-0.01}`, `/amount must be at least 0`},
		"negative amount as a string": {order.CreatedType, `{"orderId":"1","customerId":"2","amount":"-1"}`, `/amount must match ^[0-9]`},
		"words for an amount":         {order.CreatedType, `{"orderId":"1","customerId":"2","amount":"9 dollars"}`, `/amount must be in the format decimal`},
		"amount of too many digits":   {order.CreatedType, `{"orderId":"1","customerId":"2","amount":0.12345678901234567891}`, `/amount must be in the format decimal`},
		"exponent bomb":               {order.CreatedType, `{"orderId":"1","customerId":"2","amount":1e999999999}`, `has a number of more than 400 characters, or with an exponent beyond 400, at byte 52`},
		"negative exponent bomb":      {order.CreatedType, `{"orderId":"1","customerId":"2","amount":1,"x":1E-999999999999999999999}`, `has a number of more than 400 characters, or with an exponent beyond 400, at byte 71`},
		"exponent of -401":            {order.CreatedType, `{"x":1e-401}`, `has a number of more than 400 characters, or with an exponent beyond 400, at byte 11`},
		"long number":                 {order.CreatedType, `{"orderId":"1","customerId":"2","amount":` + strings.Repeat("9", 401) + `}`, `has a number of more than 400 characters, or with an exponent beyond 400, at byte 442`},
		"currency of four letters":    {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"currency":"EURO"}`, `/currency must match ^[A-Za-z]{3}$`},
		"quantity of 0":               {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[{"productId":"p","quantity":0}]}`, `/items/0/quantity must be at least 1`},
		"payment nobody knows":        {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"payment":"Manual"}`, `/payment must match ^(automatic|manual)$`},
		"refund of nothing":           {order.RefundedType, `{"orderId":"1","customerId":"2"}`, `/amount is missing`},
		"half a piece":                {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[{"productId":"p","quantity":0.5}]}`, `/items/0/quantity is number, must be integer`},
		"quantity with a point":       {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[{"productId":"p","quantity":2.0}]}`, `/items/0/quantity must be in the format int32`},
		"a billion and one":           {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[{"productId":"p","quantity":1000000001}]}`, `/items/0/quantity must be at most 1000000000`},
		"item without a product":      {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[{"quantity":1}]}`, `/items/0/productId is missing`},
		"items that are none":         {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"items":[null,1]}`, `/items/0 is null, must be object; /items/1 is number, must be object`},
		"address of another type":     {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"shippingAddress":[]}`, `/shippingAddress is array, must be null or string or object`},
		"city of another type":        {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"shippingAddress":{"city":1}}`, `/shippingAddress/city is number, must be null or string`},
		"date without a time":         {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"orderDate":"2023-12-01"}`, `/orderDate must be in the format date-time`},
		"leap second":                 {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"orderDate":"2016-12-31T23:59:60Z"}`, `/orderDate must be in the format date-time`},
		"hour of one digit":           {order.CreatedType, `{"orderId":"1","customerId":"2","amount":3,"orderDate":"2016-12-31T3:00:00Z"}`, `/orderDate must be in the format date-time`},
		"more than 1 MiB":             {order.CreatedType, pad(schemas.MaxSize + 1), `has 1048577 bytes, more than 1048576`},
		"nested 65 deep":              {order.CreatedType, nest(schemas.MaxDepth + 1), `is nested more than 64 deep, at byte 115`},
		"objects nested 65 deep":      {order.CreatedType, strings.Repeat(`{"a":`, schemas.MaxDepth+1), `is nested more than 64 deep, at byte 321`},
		"nested very deep":            {order.CreatedType, strings.Repeat("[", 1<<20), `is nested more than 64 deep, at byte 65`},
		"channel of another type":     {notification.RequestedType, `{"type":1,"template":"t"}`, `/type is number, must be string`},
		"template data that is none":  {notification.RequestedType, `{"type":"sms","template":"t","data":[1]}`, `/data is array, must be null or object`},
		"no template":                 {notification.RequestedType, `{"type":"email","recipient":"1"}`, `/template is missing`},
		"price changed to nothing":    {product.PriceChangedType, `{"productId":"1"}`, `/newPrice is missing`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := schemas.Validate(tt.name, []byte(tt.data))
			var invalid *schemas.Error
			if !errors.As(err, &invalid) || invalid.Type != tt.name {
				t.Fatalf("error is %#v", err)
			}
			want := "data of " + tt.name + " does not fit its schema: " + tt.want
			if diff := cmp.Diff(want, err.Error()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A thousand faults make a short error.
func TestErrorsAreBounded(t *testing.T) {
	t.Parallel()
	items := strings.TrimSuffix(strings.Repeat(`{"productId":"","quantity":"many"},`, 1000), ",")
	err := schemas.Validate(order.CreatedType, []byte(`{"orderId":"1","customerId":"2","amount":3,"items":[`+items+`]}`))
	var invalid *schemas.Error
	if !errors.As(err, &invalid) || len(invalid.Violations) != 8 || invalid.More != 1992 {
		t.Fatalf("error is %v", err)
	}
	if n := len(err.Error()); n > 1024 || !strings.HasSuffix(err.Error(), "; and 1992 more") {
		t.Errorf("error of %d bytes: %v", n, err)
	}
}

// No error tells what was in the data, wherever it stood.
func TestErrorsQuoteNothing(t *testing.T) {
	t.Parallel()
	for _, data := range []string{
		`secret`, `"secret"`, `{"secret"`, `{"secret":1,"secret":2}`, `{"secret":"\x"}`, `{"orderId":{"secret":1}}`, `["secret"]`,
		`{"orderId":"1","customerId":"2","amount":"secret","currency":"secret","orderDate":"secret","items":"secret"}`,
		`{"orderId":"1","customerId":"2","amount":1,"items":[{"productId":"p","quantity":"secret"},"secret"]}`,
	} {
		err := schemas.Validate(order.CreatedType, []byte(data))
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error is %v", data, err)
		}
	}
}

// What Validate lets pass can be decoded as strictly as handlers decode it, and what was decoded is written as data that
// fits again.
func FuzzValidate(f *testing.F) {
	payloads := document.Payloads()
	for i, payload := range payloads {
		sample, err := os.ReadFile("testdata/samples/" + file(payload.EventType()))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), sample)
	}
	for _, data := range []string{
		tutorialOrder, `{}`, ``, `null`, `{"orderId":"1","customerId":"2","amount":"1e2","items":[]}`, `{"orderId":"1","orderID":"2"}`,
		`{"orderId":"1","customerId":"2","amount":-0,"shippingAddress":"x","orderDate":"0001-01-01T00:00:00Z"}`,
		`{"orderId":"1","customerId":"2","amount":1e400}`, `{"orderId":"\ud800","customerId":"2","amount":1}`,
	} {
		f.Add(uint8(0), []byte(data))
	}
	f.Fuzz(func(t *testing.T, i uint8, data []byte) {
		payload := payloads[int(i)%len(payloads)]
		err := schemas.Validate(payload.EventType(), data)
		if err != nil {
			if len(err.Error()) > 4096 {
				t.Fatalf("error of %d bytes", len(err.Error()))
			}
			return
		}
		decoded := reflect.New(reflect.TypeOf(payload)).Interface()
		if err := json.Unmarshal(data, decoded); err != nil {
			t.Fatalf("valid %s is not decoded: %v", payload.EventType(), err)
		}
		again, err := json.Marshal(decoded)
		if err != nil {
			t.Fatalf("valid %s is not written: %v", payload.EventType(), err)
		}
		if err := schemas.Validate(payload.EventType(), again); err != nil {
			t.Fatalf("%s comes back as %s: %v", data, again, err)
		}
	})
}
