package telemetry

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"go.opentelemetry.io/otel/attribute"
)

type otlpAttribute struct {
	Key   string    `json:"key"`
	Value otlpValue `json:"value"`
}

func otlpAttributes(attributes []attribute.KeyValue) []otlpAttribute {
	list := make([]otlpAttribute, len(attributes))
	for i, a := range attributes {
		list[i] = otlpAttribute{string(a.Key), otlpValue(a.Value)}
	}
	return list
}

// otlpValue is an attribute's value that writes itself as an AnyValue: an object whose one member is named after the type of
// the value, or none for an empty one.
type otlpValue attribute.Value

// MarshalJSONTo writes the AnyValue.
func (v otlpValue) MarshalJSONTo(out *jsontext.Encoder) error {
	a := attribute.Value(v)
	switch a.Type() {
	case attribute.BOOL:
		return writeMember(out, "boolValue", a.AsBool())
	case attribute.INT64:
		return writeMember(out, "intValue", strconv.FormatInt(a.AsInt64(), 10))
	case attribute.FLOAT64:
		return writeMember(out, "doubleValue", otlpDouble(a.AsFloat64()))
	case attribute.STRING:
		return writeMember(out, "stringValue", a.AsString())
	case attribute.BYTESLICE:
		return writeMember(out, "bytesValue", a.AsByteSlice())
	case attribute.MAP:
		return writeMember(out, "kvlistValue", otlpMap{otlpAttributes(a.AsMap())})
	case attribute.BOOLSLICE, attribute.INT64SLICE, attribute.FLOAT64SLICE, attribute.STRINGSLICE, attribute.SLICE:
		return writeMember(out, "arrayValue", otlpArray{otlpItems(a)})
	case attribute.EMPTY:
	}
	return json.MarshalEncode(out, struct{}{})
}

type otlpArray struct {
	Values []otlpValue `json:"values"`
}

type otlpMap struct {
	Values []otlpAttribute `json:"values"`
}

func writeMember[T any](out *jsontext.Encoder, name string, content T) error {
	if err := out.WriteToken(jsontext.BeginObject); err != nil {
		return err
	}
	if err := out.WriteToken(jsontext.String(name)); err != nil {
		return err
	}
	if err := json.MarshalEncode(out, content); err != nil {
		return err
	}
	return out.WriteToken(jsontext.EndObject)
}

// otlpItems are the items of a list.
func otlpItems(list attribute.Value) []otlpValue {
	switch list.Type() { //nolint:exhaustive // the types that are lists
	case attribute.BOOLSLICE:
		return otlpList(list.AsBoolSlice(), attribute.BoolValue)
	case attribute.INT64SLICE:
		return otlpList(list.AsInt64Slice(), attribute.Int64Value)
	case attribute.FLOAT64SLICE:
		return otlpList(list.AsFloat64Slice(), attribute.Float64Value)
	case attribute.STRINGSLICE:
		return otlpList(list.AsStringSlice(), attribute.StringValue)
	}
	return otlpList(list.AsSlice(), func(v attribute.Value) attribute.Value { return v })
}

func otlpList[T any](items []T, value func(T) attribute.Value) []otlpValue {
	list := make([]otlpValue, len(items))
	for i, item := range items {
		list[i] = otlpValue(value(item))
	}
	return list
}

// otlpDouble is the JSON of a number that need not be finite.
func otlpDouble(f float64) any {
	switch {
	case math.IsNaN(f):
		return "NaN"
	case math.IsInf(f, 1):
		return "Infinity"
	case math.IsInf(f, -1):
		return "-Infinity"
	}
	return f
}
