package orderapi

import (
	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
)

// printable is what a text of one line may have: no control characters. PostgreSQL takes no NUL, and nobody wants the others
// in a mail.
const printable = `^[^\x00-\x1f\x7f]*$`

// text returns the schema of a text of one line, with a number of characters.
func text(least, most int, description string) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, MinLength: &least, MaxLength: &most, Pattern: printable,
		PatternDescription: "a text without control characters", Description: description,
	}
}

// id is a name that programs give: of an order, a customer, a product, a payment. Its length is that of cloudevents/order.
type id string

// Schema says what an id may be.
func (id) Schema(huma.Registry) *huma.Schema { return text(1, 256, "") }

// line is a text of one line.
type line string

// Schema says what a line may be.
func (line) Schema(huma.Registry) *huma.Schema { return text(0, 256, "") }

// correlationID is the value of an X-Correlation-ID header.
type correlationID string

// Schema says what an X-Correlation-ID may be.
func (correlationID) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: correlationPattern,
		PatternDescription: "1 to 128 letters, digits and ._:/+=@-, of which the first is a letter or digit",
		Description: "Names the flow that the request belongs to, and becomes the correlationid of the events that follow. " +
			"Without one the flow has the id of the request. The answer has it, too.",
	}
}

// amountSchema is what an API says about a money.Amount.
type amountSchema struct{}

// Schema says what an amount may be.
func (amountSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeNumber, Format: "decimal", Minimum: new(0.0), Examples: []any{49.50},
		Description: "A decimal number of at most 19 digits, which is kept exactly as it is written.",
	}
}

// currencySchema is what an API says about a money.Currency.
type currencySchema struct{}

// Schema says what a currency may be.
func (currencySchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Pattern: `^[A-Za-z]{3}$`, PatternDescription: "three letters (ISO 4217)", Examples: []any{"EUR"},
		Description: "Three letters of ISO 4217. Default: " + money.DefaultCurrency + ".",
	}
}

// modeSchema is what an API says about a fact.PaymentMode.
type modeSchema struct{}

// Schema says what a mode of payment may be.
func (modeSchema) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Type: huma.TypeString, Enum: []any{string(fact.PaymentAutomatic), string(fact.PaymentManual)},
		Description: "automatic: the order is charged as soon as it is placed. manual: it waits for processPayment, and is cancelled when that " +
			"does not come in time. Default: automatic.",
	}
}

// addressSchema is what an API says about a fact.Address.
type addressSchema struct{}

// Schema says what an address may be.
func (addressSchema) Schema(huma.Registry) *huma.Schema {
	parts := map[string]*huma.Schema{}
	for _, part := range []string{"street", "city", "state", "postalCode", "country"} {
		parts[part] = text(0, 256, "")
	}
	return &huma.Schema{
		OneOf: []*huma.Schema{
			{Type: huma.TypeObject, Properties: parts, AdditionalProperties: false},
			text(0, 1024, "The whole address in one line."),
		},
		Description: "Where the order goes: an object, or one line.",
		Examples:    []any{map[string]any{"street": "1 Mill Lane", "city": "Rivertown", "postalCode": "4711", "country": "NL"}},
	}
}
