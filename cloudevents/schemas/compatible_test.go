package schemas_test

import (
	"strings"
	"testing"

	"github.com/millrace/millrace/cloudevents/schemas"
)

func TestCompatible(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ older, newer, want string }{
		"the same":                     {`{"type":"object"}`, `{"type":"object"}`, ``},
		"other words":                  {`{"title":"a","description":"b"}`, `{"title":"c","$comment":"d"}`, ``},
		"a member more":                {`{"properties":{}}`, `{"properties":{"a":{"type":"string"}}}`, ``},
		"a member less":                {`{"properties":{"a":{"type":"string"}}}`, `{"properties":{}}`, ``},
		"members became free":          {`{"properties":{"a":{"type":"string"}}}`, `{}`, ``},
		"not required any more":        {`{"required":["a","b"]}`, `{"required":["a"]}`, ``},
		"required":                     {`{"required":["a"]}`, `{"required":["a","b"]}`, `/: b became required`},
		"the first that is required":   {`{}`, `{"required":["a"]}`, `/: a became required`},
		"wider type":                   {`{"type":"string"}`, `{"type":["string","null"]}`, ``},
		"integer became number":        {`{"type":"integer"}`, `{"type":"number"}`, ``},
		"any type":                     {`{"type":"integer"}`, `{}`, ``},
		"narrower type":                {`{"type":["string","null"]}`, `{"type":"string"}`, `/: type null does not fit any more`},
		"number became integer":        {`{"type":"number"}`, `{"type":"integer"}`, `/: type number does not fit any more`},
		"a type where there was none":  {`{}`, `{"type":"string"}`, `/: any type fitted, now only string`},
		"value more":                   {`{"enum":["a"]}`, `{"enum":["a","b"]}`, ``},
		"enumeration gone":             {`{"enum":["a"]}`, `{}`, ``},
		"value less":                   {`{"enum":["a",{"b":1}]}`, `{"enum":["a"]}`, `/: map[b:1] is not in the enumeration any more`},
		"new enumeration":              {`{}`, `{"enum":["a"]}`, `/: any value fitted, now only those of an enumeration`},
		"wider limits":                 {`{"minLength":2,"maxLength":9}`, `{"minLength":1,"maxLength":10}`, ``},
		"limits gone":                  {`{"minimum":2,"maxItems":9}`, `{}`, ``},
		"higher minimum":               {`{"minimum":1.5}`, `{"minimum":1.50001}`, `/: minimum was 1.5 and is now 1.50001`},
		"lower maximum":                {`{"maxItems":10}`, `{"maxItems":9}`, `/: maxItems was 10 and is now 9`},
		"new limit":                    {`{}`, `{"maxLength":10}`, `/: maxLength was <nil> and is now 10`},
		"a limit that is none":         {`{"maxLength":"10"}`, `{"maxLength":[10]}`, `/: maxLength was 10 and is now [10]`},
		"pattern gone":                 {`{"pattern":"^a"}`, `{}`, ``},
		"other pattern":                {`{"pattern":"^a"}`, `{"pattern":"^b"}`, `/: pattern was ^a and is now ^b`},
		"new format":                   {`{}`, `{"format":"date-time"}`, `/: format was <nil> and is now date-time`},
		"an unknown keyword":           {`{"oneOf":[{"type":"string"}]}`, `{"oneOf":[{"type":"number"}]}`, `/: oneOf changed`},
		"closed":                       {`{}`, `{"additionalProperties":false}`, `/: additionalProperties changed`},
		"below":                        {`{"properties":{"a":{"items":{"required":[]}}}}`, `{"properties":{"a":{"items":{"required":["b"]}}}}`, `/a/items: b became required`},
		"items where there were none":  {`{}`, `{"items":{"type":"string"}}`, `/: any items fitted, now only those of a schema`},
		"items free":                   {`{"items":{"type":"string"}}`, `{}`, ``},
		"boolean schema":               {`{"items":true}`, `{"items":false}`, `/items: the schema is not an object`},
		"the same boolean schema":      {`{"items":true}`, `{"items":true}`, ``},
		"properties that are none":     {`{"properties":1}`, `{"properties":[2]}`, ``},
		"types that are none":          {`{"type":[{}]}`, `{"type":[[]]}`, `/: type map[] does not fit any more`},
		"several":                      {`{"maximum":2}`, `{"maximum":1,"required":["a"]}`, "/: maximum was 2 and is now 1\n/: a became required"},
		"the older is not JSON":        {`{`, `{}`, `older schema is not JSON: it ends too early, after 1 bytes`},
		"the newer has nothing":        {`{}`, ``, `newer schema is empty`},
		"the newer has a name twice":   {`{}`, `{"type":"a","type":"b"}`, `newer schema has a name twice in one object, at byte 12`},
		"required that is not a list":  {`{"required":"a"}`, `{"required":"a"}`, ``},
		"enumeration that is not list": {`{"enum":"a"}`, `{"enum":{"a":1}}`, `/: a is not in the enumeration any more`},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ""
			if err := schemas.Compatible([]byte(tt.older), []byte(tt.newer)); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// Each document takes its own place, and those of other types do not.
func TestDocumentsAreComparable(t *testing.T) {
	t.Parallel()
	for _, older := range schemas.All() {
		before, _ := schemas.Schema(older.Name)
		if err := schemas.Compatible(before, before); err != nil {
			t.Errorf("%s with itself: %v", older.Name, err)
		}
		stricter := strings.Replace(string(before), `"required": [`, `"required": ["newcomer",`, 1)
		if err := schemas.Compatible(before, []byte(stricter)); err == nil {
			t.Errorf("%s takes a member that became required", older.Name)
		}
	}
}

// Whatever can be read takes its own place, and nothing makes Compatible panic.
func FuzzCompatible(f *testing.F) {
	f.Add([]byte(`{"type":["a",1],"enum":[{}],"required":[[]]}`), []byte(`{"type":{},"enum":{},"minimum":"x","properties":{"a":1}}`))
	for _, entry := range schemas.All() {
		text, _ := schemas.Schema(entry.Name)
		f.Add(text, text)
	}
	f.Fuzz(func(t *testing.T, older, newer []byte) {
		if schemas.Compatible(older, newer) != nil {
			return
		}
		if err := schemas.Compatible(newer, newer); err != nil {
			t.Errorf("%s does not take its own place: %v", newer, err)
		}
	})
}
