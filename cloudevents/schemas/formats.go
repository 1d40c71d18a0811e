package schemas

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/money"
)

// formats are the formats that the documents use, as strict as decoding into the payload types: what passes here can be
// decoded.
var formats = map[string]func(value any) error{
	"decimal":   isDecimal,
	"int32":     isInt32,
	"date-time": isTime,
}

// format is a format, or none.
type format struct {
	name  string
	check func(value any) error
}

// UnmarshalText finds a format by its name.
func (f *format) UnmarshalText(text []byte) error {
	f.name, f.check = string(text), formats[string(text)]
	if f.check == nil {
		return fmt.Errorf("format %q is not known", text)
	}
	return nil
}

func (f *format) violated(value any) bool { return f.check != nil && f.check(value) != nil }

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
