package kafkabinding

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

// FuzzScanner: the scanner and the tokenizer agree on what is JSON.
func FuzzScanner(f *testing.F) {
	for _, text := range []string{
		``, ` `, `null`, ` true `, `false`, `nul`, `0`, `-0`, `01`, `12`, `-1.5e+10`, `1.`, `.1`, `1e`, `+1`, `0x1`, `NaN`,
		`""`, `"a`, `"a\"b"`, `"\u00e9é"`, `"\ud83d\ude00"`, `"\ud800"`, `"\x"`, "\"\x7f\"", "\"\n\"", "\"\xff\"", `"12345678`,
		`"1234567\"9"`, `[]`, `[ ]`, `[1,2]`, `[1,]`, `[,1]`, `[1 2]`, `[1`, `]`, `{}`, `{ }`, `{"a":1}`, `{"a":1,"a":{"b":[]}}`,
		`{"a"}`, `{"a":}`, `{a:1}`, `{"a":1,}`, `{"a" : 1 , "b" : [ ] }`, `{"a":1}}`, `1 1`, `{"a":1 "b":2}`, `[}`, `{]`,
		strings.Repeat("[", 100) + strings.Repeat("]", 100), "\ufeff1", "1\v", `[1` + "\f" + `]`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		want := jsontext.Value(text).IsValid(jsontext.AllowDuplicateNames(true))
		if got := isJSON(text, maxDepth); got != want {
			t.Fatalf("isJSON(%q) is %t", text, got)
		}
	})
}

func TestScannerDepth(t *testing.T) {
	t.Parallel()
	nested := func(open, end string, depth int) []byte {
		return []byte(strings.Repeat(open, depth) + "1" + strings.Repeat(end, depth))
	}
	for _, c := range []struct{ open, end string }{{"[", "]"}, {`{"a":`, "}"}, {`[{"a":`, "}]"}} {
		levels := strings.Count(c.open, "[") + strings.Count(c.open, "{")
		if !isJSON(nested(c.open, c.end, maxDepth/levels), maxDepth) {
			t.Errorf("%s nested %d deep is refused", c.open, maxDepth)
		}
		if isJSON(nested(c.open, c.end, maxDepth/levels+1), maxDepth) {
			t.Errorf("%s nested deeper than %d is accepted", c.open, maxDepth)
		}
	}
	if !isJSON([]byte(`[]`), 1) || isJSON([]byte(`[]`), 0) || isJSON([]byte(`{}`), 0) || !isJSON([]byte(`1`), 0) {
		t.Error("the last level is counted wrongly")
	}
}
