// Package document makes the JSON Schema documents of the payload types. Only the generator and tests import it: what a
// function's binary needs of it is the generated files.
package document

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/invopop/jsonschema"

	"github.com/millrace/millrace/cloudevents/inventory"
	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/cloudevents/payment"
	"github.com/millrace/millrace/cloudevents/product"
	"github.com/millrace/millrace/cloudevents/user"
)

// Payload is a payload type, as a zero value.
type Payload interface{ EventType() string }

// Payloads returns a zero value of every payload type.
func Payloads() []Payload {
	return []Payload{
		order.Created{}, order.Paid{}, order.ProcessingStarted{}, order.Shipped{}, order.Delivered{},
		order.Cancelled{}, order.Refunded{},
		payment.Processed{}, payment.Failed{}, payment.Refunded{},
		inventory.Reserved{}, inventory.Rejected{}, inventory.Released{},
		user.Registered{}, user.LoggedIn{},
		product.Updated{}, product.PriceChanged{}, product.OutOfStock{},
		notification.Requested{}, notification.EmailSent{}, notification.SmsSent{}, notification.AdminAlerted{},
		notification.Sent{}, notification.Failed{},
	}
}

// module is the import path of this folder's parent; the comments of the payload packages are found relative to it.
const module = "github.com/millrace/millrace/cloudevents/schemas"

// All returns the documents by file name. It reads the comments of the payload types from their source: the working
// directory must be that of the package schemas.
func All() (map[string][]byte, error) {
	var comments jsonschema.Reflector
	for _, folder := range []string{"inventory", "notification", "order", "payment", "product", "user"} {
		if err := comments.AddGoComments(module, "../"+folder); err != nil {
			return nil, fmt.Errorf("comments of package %s: %w", folder, err)
		}
	}
	documents := map[string][]byte{}
	for _, p := range Payloads() {
		name := strings.TrimPrefix(p.EventType(), "dev.millrace.") + ".json"
		text, err := json.MarshalIndent(schema(p, name, comments.CommentMap), "", "  ")
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", p.EventType(), err)
		}
		documents[name] = append(text, '\n')
	}
	return documents, nil
}

func schema(p Payload, name string, comments map[string]string) *jsonschema.Schema {
	s := reflector(comments).ReflectFromType(reflect.TypeOf(p))
	s.ID = jsonschema.ID("https://millrace.dev/schemas/" + name)
	s.Title = p.EventType()
	allowNull(s)
	return s
}

func reflector(comments map[string]string) *jsonschema.Reflector {
	return &jsonschema.Reflector{
		Anonymous:                  true,
		AllowAdditionalProperties:  true,
		RequiredFromJSONSchemaTags: true,
		DoNotReference:             true,
		ExpandedStruct:             true,
		CommentMap:                 comments,
		Mapper:                     func(t reflect.Type) *jsonschema.Schema { return special(t, comments) },
	}
}

// special returns the schema of types whose JSON form their Go form does not show, nil for others.
func special(t reflect.Type, comments map[string]string) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[money.Amount]():
		return &jsonschema.Schema{
			Format: "decimal", Pattern: "^[0-9]", Minimum: "0",
			Extras: map[string]any{"type": []string{"number", "string"}},
		}
	case reflect.TypeFor[money.Currency]():
		return &jsonschema.Schema{Type: "string", Pattern: "^[A-Za-z]{3}$"}
	case reflect.TypeFor[jsontext.Value]():
		return &jsonschema.Schema{Type: "object"}
	case reflect.TypeFor[int]():
		return &jsonschema.Schema{Type: "integer", Format: "int32"}
	case reflect.TypeFor[order.Address]():
		return address(comments)
	}
	return nil
}

// address is the object form of an order.Address, or one line of text.
func address(comments map[string]string) *jsonschema.Schema {
	r := reflector(comments)
	r.Mapper = nil
	s := r.ReflectFromType(reflect.TypeFor[order.Address]())
	s.Version, s.Type = "", ""
	s.Extras = map[string]any{"type": []string{"object", "string"}}
	return s
}

// allowNull lets each member that is not required be null: programs write null for what they do not know, and decoding
// takes it for a member that is missing.
func allowNull(s *jsonschema.Schema) {
	if s.Items != nil {
		allowNull(s.Items)
	}
	if s.Properties == nil {
		return
	}
	required := map[string]bool{}
	for _, name := range s.Required {
		required[name] = true
	}
	for member := s.Properties.Oldest(); member != nil; member = member.Next() {
		if !required[member.Key] {
			addNull(member.Value)
		}
		allowNull(member.Value)
	}
}

func addNull(s *jsonschema.Schema) {
	types := []string{s.Type}
	if several, ok := s.Extras["type"].([]string); ok {
		types = several
	}
	s.Type = ""
	s.Extras = map[string]any{"type": append(types, "null")}
}
