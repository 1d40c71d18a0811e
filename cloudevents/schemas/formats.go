package schemas

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/millrace/millrace/cloudevents/money"
)

// formats are the formats that the documents use, as strict as decoding into the payload types: what passes here can be
// decoded.
func formats() []*jsonschema.Format {
	return []*jsonschema.Format{
		{Name: "decimal", Validate: isDecimal},
		{Name: "int32", Validate: isInt32},
		{Name: "date-time", Validate: isTime},
	}
}

func isDecimal(value any) error {
	var err error
	switch v := value.(type) {
	case json.Number:
		_, err = money.Parse(string(v))
	case string:
		_, err = money.Parse(v)
	}
	return err
}

func isInt32(value any) error {
	v, ok := value.(json.Number)
	if !ok {
		return nil
	}
	if _, err := strconv.ParseInt(string(v), 10, 32); err != nil {
		return errors.New("not a 32-bit integer without point and exponent")
	}
	return nil
}

func isTime(value any) error {
	v, ok := value.(string)
	if !ok {
		return nil
	}
	// The decoder itself is asked: time.Time.UnmarshalText takes an hour of one digit, the decoder does not.
	quoted, err := jsontext.AppendQuote(nil, v)
	if err != nil {
		return err
	}
	var t time.Time
	return jsonv2.Unmarshal(quoted, &t)
}
