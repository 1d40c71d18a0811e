package templates

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// scalars returns the members of the JSON object data that are texts, numbers or booleans.
func scalars(data jsontext.Value) (map[string]string, error) {
	switch {
	case len(data) > maxData:
		return nil, fmt.Errorf("more than %d bytes", maxData)
	case len(data) == 0, data.Kind() == 'n':
		return map[string]string{}, nil
	case data.Kind() != '{':
		return nil, errors.New("not a JSON object")
	}
	var members map[string]jsontext.Value
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, errors.New("not a JSON object whose names differ")
	}
	values := make(map[string]string, len(members))
	for name, member := range members {
		if text, ok := scalar(member); ok {
			values[name] = text
		}
	}
	return values, nil
}

func scalar(member jsontext.Value) (text string, ok bool) {
	switch member.Kind() {
	case '"':
		return text, json.Unmarshal(member, &text) == nil
	case '0', 't', 'f':
		return member.String(), true
	}
	return "", false
}

// executor is what both kinds of templates have in common.
type executor interface {
	Execute(w io.Writer, data any) error
}

func executed(t executor, values map[string]string) (string, error) {
	var out strings.Builder
	if err := t.Execute(&out, values); err != nil {
		return "", err
	}
	return out.String(), nil
}

// date writes a time of RFC 3339 for people: "1 December 2023, 10:00 UTC", and a date alone: "1 December 2023". Words
// stay as they are.
func date(text string) string {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.Format("2 January 2006, 15:04 MST")
	}
	if day, err := time.Parse(time.DateOnly, text); err == nil {
		return day.Format("2 January 2006")
	}
	return text
}
