package orderapi

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/millrace/millrace/cloudevents/money"
	fact "github.com/millrace/millrace/cloudevents/order"
)

// newHandler returns the API of a shop.
func newHandler(s *shop) (http.Handler, error) {
	mux := http.NewServeMux()
	api := humago.New(mux, newConfig())
	s.register(api)
	// huma describes problems of its own, which nobody gets.
	delete(api.OpenAPI().Components.Schemas.Map(), "ErrorModel")
	delete(api.OpenAPI().Components.Schemas.Map(), "ErrorDetail")
	if err := addDocuments(mux, api.OpenAPI()); err != nil {
		return nil, fmt.Errorf("description of the API: %w", err)
	}
	return &front{mux}, nil
}

func newConfig() huma.Config {
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info: &huma.Info{
				Title: "Orders", Version: "1",
				Description: "Orders of the shop. An order is what its facts tell: each change is stored as an event, and published if and only if " +
					"it was stored. What is not described here, as a member of a body or a parameter of a query, is refused.",
			},
			Components: &huma.Components{Schemas: newRegistry()},
		},
		Formats:       map[string]huma.Format{mediaJSON: jsonFormat, "json": jsonFormat},
		DefaultFormat: mediaJSON,
		Transformers:  []huma.Transformer{tellProblems},
	}
}

// newRegistry returns a registry of schemas that knows types that know nothing of HTTP.
func newRegistry() huma.Registry {
	registry := huma.NewMapRegistry("#/components/schemas/", nameSchema)
	registry.RegisterTypeAlias(reflect.TypeFor[money.Amount](), reflect.TypeFor[amountSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[money.Currency](), reflect.TypeFor[currencySchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[fact.PaymentMode](), reflect.TypeFor[modeSchema]())
	registry.RegisterTypeAlias(reflect.TypeFor[fact.Address](), reflect.TypeFor[addressSchema]())
	return registry
}

// nameSchema names a schema after its type: orderView is Order.
func nameSchema(t reflect.Type, hint string) string {
	return strings.TrimSuffix(huma.DefaultSchemaNamer(t, hint), "View")
}
