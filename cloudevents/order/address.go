package order

import (
	"github.com/go-json-experiment/json"
)

// Address is where an order goes. In JSON it is an object, or one line of text: then only Line is set. Members of the
// object that are not named here are passed over.
type Address struct {
	Street     string `json:"street,omitzero"`
	City       string `json:"city,omitzero"`
	State      string `json:"state,omitzero"`
	PostalCode string `json:"postalCode,omitzero"`
	Country    string `json:"country,omitzero"`
	// Line is the whole address in one line. Where it is set, the other fields are not written.
	Line string `json:"-"`
}

// fields is an Address without its methods: the object form.
type fields Address

// MarshalJSON writes Line as a string where it is set, else the other fields as an object.
func (a Address) MarshalJSON() ([]byte, error) {
	if a.Line != "" {
		return json.Marshal(a.Line)
	}
	return json.Marshal(fields(a))
}

// UnmarshalJSON reads an object, a string or null.
func (a *Address) UnmarshalJSON(data []byte) error {
	*a = Address{}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &a.Line)
	}
	return json.Unmarshal(data, (*fields)(a))
}
