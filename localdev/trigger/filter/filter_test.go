package filter_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/millrace/millrace/localdev/trigger/filter"
)

func compile(t *testing.T, patterns ...string) *filter.Filter {
	t.Helper()
	f, err := filter.Compile(patterns...)
	if err != nil {
		t.Fatalf("Compile(%q): %v", patterns, err)
	}
	return f
}

// The examples of the Lambda and EventBridge documentation come first.
func TestMatch(t *testing.T) {
	t.Parallel()
	const (
		yes     = filter.Matched
		no      = filter.Rejected
		ignored = filter.NotApplied
	)
	for _, c := range []struct {
		name, value, data string
		want              filter.Match
	}{
		{"null", `{"UserID":[null]}`, `{"UserID":null}`, yes},
		{"null is not absent", `{"UserID":[null]}`, `{}`, no},
		{"null is not its name", `{"UserID":[null]}`, `{"UserID":"null"}`, no},
		{"empty", `{"LastName":[""]}`, `{"LastName":""}`, yes},
		{"empty is not null", `{"LastName":[""]}`, `{"LastName":null}`, no},
		{"equals", `{"Name":["Alice"]}`, `{"Name":"Alice"}`, yes},
		{"equals is case-sensitive", `{"Name":["Alice"]}`, `{"Name":"alice"}`, no},
		{"equals ignoring case", `{"Name":[{"equals-ignore-case":"alice"}]}`, `{"Name":"ALICE"}`, yes},
		{"and", `{"Location":["New York"],"Day":["Monday"]}`, `{"Location":"New York","Day":"Monday"}`, yes},
		{"and, one differs", `{"Location":["New York"],"Day":["Monday"]}`, `{"Location":"New York","Day":"Friday"}`, no},
		{"or of values", `{"PaymentType":["Credit","Debit"]}`, `{"PaymentType":"Debit"}`, yes},
		{"or of values, none", `{"PaymentType":["Credit","Debit"]}`, `{"PaymentType":"Cash"}`, no},
		{"or of fields", `{"$or":[{"Location":["New York"]},{"Day":["Monday"]}]}`, `{"Location":"Rome","Day":"Monday"}`, yes},
		{"or of fields, none", `{"$or":[{"Location":["New York"]},{"Day":["Monday"]}]}`, `{"Location":"Rome","Day":"Friday"}`, no},
		{"not", `{"Weather":[{"anything-but":["Raining"]}]}`, `{"Weather":"Sunny"}`, yes},
		{"not, but it is", `{"Weather":[{"anything-but":["Raining"]}]}`, `{"Weather":"Raining"}`, no},
		{"not, absent", `{"Weather":[{"anything-but":["Raining"]}]}`, `{}`, no},
		{"numeric equals", `{"Price":[{"numeric":["=",100]}]}`, `{"Price":1e2}`, yes},
		{"numeric range", `{"Price":[{"numeric":[">",10,"<=",20]}]}`, `{"Price":20}`, yes},
		{"numeric range, open end", `{"Price":[{"numeric":[">",10,"<=",20]}]}`, `{"Price":10}`, no},
		{"numeric range, a string", `{"Price":[{"numeric":[">",10,"<=",20]}]}`, `{"Price":"15"}`, no},
		{"numeric, beyond a double", `{"Price":[{"numeric":[">",10]}]}`, `{"Price":1e999}`, no},
		{"numeric, below", `{"Price":[{"numeric":["<",0]}]}`, `{"Price":-0.5}`, yes},
		{"exists", `{"ProductName":[{"exists":true}]}`, `{"ProductName":null}`, yes},
		{"exists, absent", `{"ProductName":[{"exists":true}]}`, `{"Other":1}`, no},
		{"exists, not a leaf", `{"ProductName":[{"exists":true}]}`, `{"ProductName":{"en":"x"}}`, no},
		{"exists, empty list", `{"ProductName":[{"exists":true}]}`, `{"ProductName":[]}`, no},
		{"does not exist", `{"ProductName":[{"exists":false}]}`, `{}`, yes},
		{"does not exist, not a leaf", `{"c-count":[{"exists":false}]}`, `{"c-count":{"c1":100}}`, yes},
		{"does not exist, but does", `{"ProductName":[{"exists":false}]}`, `{"ProductName":"x"}`, no},
		{"absent or a value, absent", `{"a":{"b":[{"exists":false},"x"]}}`, `{}`, yes},
		{"absent or a value, value", `{"a":{"b":[{"exists":false},"x"]}}`, `{"a":{"b":"x"}}`, yes},
		{"absent or a value, other", `{"a":{"b":[{"exists":false},"x"]}}`, `{"a":{"b":"y"}}`, no},
		{"absent below, another there", `{"a":{"b":[{"exists":false}],"c":[1]}}`, `{"a":{"c":1}}`, yes},
		{"absent below, the other absent too", `{"a":{"b":[{"exists":false}],"c":[1]}}`, `{}`, no},
		{"absent in each element", `{"a":{"b":[{"exists":false}]}}`, `{"a":[{"b":1},{"c":2}]}`, no},
		{"begins with", `{"Region":[{"prefix":"us-"}]}`, `{"Region":"us-east-1"}`, yes},
		{"begins with, ignoring case", `{"service":[{"prefix":{"equals-ignore-case":"EventB"}}]}`, `{"service":"eventbridge"}`, yes},
		{"begins with, too short", `{"service":[{"prefix":{"equals-ignore-case":"EventB"}}]}`, `{"service":"ev"}`, no},
		{"ends with", `{"FileName":[{"suffix":".png"}]}`, `{"FileName":"a.png"}`, yes},
		{"ends with, ignoring case", `{"FileName":[{"suffix":{"equals-ignore-case":".PÑG"}}]}`, `{"FileName":"a.pñg"}`, yes},
		{"prefix, of a number", `{"a":[{"prefix":"1"}]}`, `{"a":12}`, no},
		{"device of the guide", `{"device_ID":[{"prefix":"AB"}]}`, `{"device_ID":"AB1234","session":{"duration":162}}`, yes},

		{"number by its text", `{"a":[300]}`, `{"a":300}`, yes},
		{"number by its text, 300.0", `{"a":[300]}`, `{"a":300.0}`, no},
		{"number by its text, 3.0e2", `{"a":[300]}`, `{"a":3.0e2}`, no},
		{"number is not its text", `{"a":[300]}`, `{"a":"300"}`, no},
		{"true", `{"a":[true]}`, `{"a":true}`, yes},
		{"true is not its name", `{"a":["true"]}`, `{"a":true}`, no},
		{"anything but a string, number", `{"a":[{"anything-but":"x"}]}`, `{"a":1}`, yes},
		{"anything but numbers", `{"a":[{"anything-but":[100,200]}]}`, `{"a":200}`, no},
		{"anything but a prefix", `{"a":[{"anything-but":{"prefix":"init"}}]}`, `{"a":"initializing"}`, no},
		{"anything but prefixes", `{"a":[{"anything-but":{"prefix":["init","error"]}}]}`, `{"a":"running"}`, yes},
		{"anything but suffixes", `{"a":[{"anything-but":{"suffix":["34","89"]}}]}`, `{"a":"6789"}`, no},
		{"anything but ignoring case", `{"a":[{"anything-but":{"equals-ignore-case":["Stopped"]}}]}`, `{"a":"STOPPED"}`, no},
		{"nested", `{"a":{"b":{"c":["x"]}}}`, `{"a":{"b":{"c":"x","d":1},"e":2}}`, yes},
		{"nested, a leaf on the way", `{"a":{"b":["x"]}}`, `{"a":"x"}`, no},
		{"list, one of it", `{"resources":["x","y"]}`, `{"resources":["y","z"]}`, yes},
		{"list, none of it", `{"resources":["x","y"]}`, `{"resources":["z"]}`, no},
		{"list, anything but", `{"a":[{"anything-but":"x"}]}`, `{"a":["x","y"]}`, yes},
		{"list of lists", `{"employees":{"firstName":["Anna"]}}`, `{"employees":[[{"firstName":"John"},{"firstName":"Anna"}]]}`, yes},
		{"list, the same element", `{"e":{"f":["Anna"],"l":["Smith"]}}`, `{"e":[{"f":"John","l":"Doe"},{"f":"Anna","l":"Smith"}]}`, yes},
		{"list, different elements", `{"e":{"f":["Anna"],"l":["Jones"]}}`, `{"e":[{"f":"Anna","l":"Smith"},{"f":"Peter","l":"Jones"}]}`, no},
		{"or and the element", `{"e":{"f":["Anna"]},"$or":[{"e":{"l":["Jones"]}},{"x":[1]}]}`, `{"e":[{"f":"Anna"},{"l":"Jones"}]}`, no},
		{"list at the top", `{"a":[1]}`, `[{"a":2},{"a":1}]`, yes},
		{"key twice, the last", `{"a":[1]}`, `{"a":2,"a":1}`, yes},
		{"or within or", `{"s":["x"],"$or":[{"m":[1]},{"t":[2],"$or":[{"i":[3]},{"j":[4]}]}]}`, `{"s":"x","t":2,"j":4}`, yes},
		{"or below", `{"d":{"$or":[{"a":[1]},{"b":[{"numeric":["<",10]}]}]}}`, `{"d":{"b":9}}`, yes},

		{"plain string, plain pattern", `[{"anything-but":["error"]}]`, `fine`, yes},
		{"plain string, but it is", `[{"anything-but":["error"]}]`, `error`, no},
		{"plain string, JSON pattern", `{"a":["x"]}`, `fine`, ignored},
		{"JSON, plain pattern", `["fine"]`, `{"a":"fine"}`, ignored},
		{"JSON list, plain pattern", `["fine"]`, `["fine"]`, ignored},
		{"JSON text that is no object is plain", `["\"fine\""]`, `"fine"`, yes},
		{"empty value", `[""]`, ``, yes},
		{"broken JSON is plain", `{"a":["x"]}`, `{"a":"x"`, ignored},
		{"two JSON values are plain", `{"a":["x"]}`, `{"a":"x"} {}`, ignored},
		{"not UTF-8", "[{\"suffix\":\"\uFFFD!\"}]", "a\xff!", yes},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			f := compile(t, `{"value":`+c.value+`}`)
			if got := f.Match([]byte(c.data)); got != c.want {
				t.Errorf("Match(%s) = %v, want %v", c.data, got, c.want)
			}
		})
	}
}

func TestTombstone(t *testing.T) {
	t.Parallel()
	for pattern, want := range map[string]filter.Match{
		`{"value":[null]}`:                   filter.Matched,
		`{"value":["null"]}`:                 filter.Rejected,
		`{"value":[{"anything-but":"x"}]}`:   filter.Matched,
		`{"value":{"a":[1]}}`:                filter.Rejected,
		`{"value":{"a":[{"exists":false}]}}`: filter.Matched,
	} {
		if got := compile(t, pattern).Match(nil); got != want {
			t.Errorf("%s of a tombstone: %v, want %v", pattern, got, want)
		}
	}
}

func TestPatternsAreAlternatives(t *testing.T) {
	t.Parallel()
	f := compile(t, `{"value":{"a":[1]}}`, `{"value":{"b":[2]}}`)
	for data, want := range map[string]filter.Match{`{"a":1}`: filter.Matched, `{"b":2}`: filter.Matched, `{"c":3}`: filter.Rejected, `x`: filter.NotApplied} {
		if got := f.Match([]byte(data)); got != want {
			t.Errorf("Match(%s) = %v, want %v", data, got, want)
		}
	}
	if got := compile(t).Match([]byte(`{"c":3}`)); got != filter.Matched {
		t.Errorf("without a pattern: %v, want matched", got)
	}
	across := compile(t, `{"$or":[{"value":["x"]},{"value":{"a":[1]}}]}`)
	if got := across.Match([]byte(`{"a":2}`)); got != filter.NotApplied || !got.Delivered() {
		t.Errorf("an alternative for plain strings: %v, want not applied", got)
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, pattern, path, problem string }{
		{"nothing", ``, "", "not valid JSON"},
		{"no JSON", `{"value"`, "", "not valid JSON"},
		{"key twice", `{"value":{"a":[1],"a":[2]}}`, "", "duplicate"},
		{"two values", `{"value":["a"]} {}`, "", "more than one"},
		{"a list", `["a"]`, "", "must be a JSON object"},
		{"too long", `{"value":["` + strings.Repeat("a", filter.MaxPatternBytes) + `"]}`, "", "at most 4096"},
		{"empty object", `{}`, "", "empty object"},
		{"empty object below", `{"value":{"a":{}}}`, "value.a", "empty object"},
		{"another key", `{"topic":["a"]}`, "topic", "\"value\" only"},
		{"another key beside", `{"value":["a"],"key":["b"]}`, "key", "\"value\" only"},
		{"no list", `{"value":{"a":"x"}}`, "value.a", "must be an object or a list"},
		{"empty list", `{"value":{"a":[]}}`, "value.a", "empty list"},
		{"list in list", `{"value":{"a":[["x"]]}}`, "value.a[0]", "list within a list"},
		{"unknown condition", `{"value":{"a":["x",{"begins":"y"}]}}`, "value.a[1].begins", "unknown condition"},
		{"wildcard", `{"value":{"a":[{"wildcard":"x*"}]}}`, "value.a[0].wildcard", "Lambda has not"},
		{"two keys", `{"value":{"a":[{"prefix":"x","suffix":"y"}]}}`, "value.a[0]", "has 2"},
		{"no key", `{"value":{"a":[{}]}}`, "value.a[0]", "has 0"},
		{"prefix of a number", `{"value":{"a":[{"prefix":1}]}}`, "value.a[0].prefix", "must be a string"},
		{"prefix of an object", `{"value":{"a":[{"prefix":{"x":"y"}}]}}`, "value.a[0].prefix", "equals-ignore-case"},
		{"ignore case of a list", `{"value":{"a":[{"prefix":{"equals-ignore-case":["y"]}}]}}`, "value.a[0].prefix.equals-ignore-case", "must be a string"},
		{"exists of a string", `{"value":{"a":[{"exists":"true"}]}}`, "value.a[0].exists", "true or false"},
		{"anything but null", `{"value":{"a":[{"anything-but":null}]}}`, "value.a[0].anything-but", "must be strings, numbers"},
		{"anything but nothing", `{"value":{"a":[{"anything-but":[]}]}}`, "value.a[0].anything-but", "must be strings, numbers"},
		{"anything but a mixture", `{"value":{"a":[{"anything-but":["x",1]}]}}`, "value.a[0].anything-but", "not both"},
		{"anything but wildcard", `{"value":{"a":[{"anything-but":{"wildcard":"x"}}]}}`, "value.a[0].anything-but", "one key: prefix"},
		{"anything but all", `{"value":{"a":[{"anything-but":{"prefix":""}}]}}`, "value.a[0].anything-but.prefix", "exclude every"},
		{"anything but number prefix", `{"value":{"a":[{"anything-but":{"prefix":[1]}}]}}`, "value.a[0].anything-but.prefix", "strings only"},
		{"anything but no prefix", `{"value":{"a":[{"anything-but":{"prefix":[]}}]}}`, "value.a[0].anything-but.prefix", "empty list"},
		{"numeric no list", `{"value":{"a":[{"numeric":5}]}}`, "value.a[0].numeric", "must be a list"},
		{"numeric no number", `{"value":{"a":[{"numeric":["=","5"]}]}}`, "value.a[0].numeric", "must have an operator"},
		{"numeric beyond a double", `{"value":{"a":[{"numeric":["=",1e999]}]}}`, "value.a[0].numeric", "a double can hold"},
		{"numeric operator", `{"value":{"a":[{"numeric":["!=",5]}]}}`, "value.a[0].numeric", "unknown operator"},
		{"numeric bounds reversed", `{"value":{"a":[{"numeric":["<",5,">",1]}]}}`, "value.a[0].numeric", "two bounds"},
		{"numeric bounds empty", `{"value":{"a":[{"numeric":[">",5,"<",5]}]}}`, "value.a[0].numeric", "two bounds"},
		{"or of one", `{"value":{"$or":[{"a":[1]}]}}`, "value.$or", "at least two"},
		{"or of no list", `{"$or":{"value":["a"]}}`, "$or", "at least two"},
		{"or of strings", `{"value":{"$or":["a","b"]}}`, "value.$or", "list of objects"},
		{"or of conditions", `{"value":{"$or":[{"prefix":["a"]},{"b":[1]}]}}`, "value.prefix", "reserved"},
		{"or and the same path", `{"value":{"a":[1],"$or":[{"a":[2]},{"b":[3]}]}}`, "value.a", "twice"},
		{"leaf and object", `{"value":{"a":{"c":[1]},"$or":[{"a":[2]},{"b":[3]}]}}`, "value.a", "nothing is both"},
		{"object and leaf", `{"value":{"$or":[{"a":[2]},{"b":[3]}],"a":{"c":[1]}}}`, "value.a", "nothing is both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := filter.Compile(`{"value":["fine"]}`, c.pattern)
			bad, ok := errors.AsType[*filter.PatternError](err)
			if !ok {
				t.Fatalf("Compile(%s) = %v, want a PatternError", c.pattern, err)
			}
			if bad.Index != 1 || bad.Path != c.path || !strings.Contains(bad.Problem, c.problem) {
				t.Errorf("Compile(%s) = %q at %q of pattern %d, want one with %q at %q", c.pattern, bad.Problem, bad.Path, bad.Index, c.problem, c.path)
			}
		})
	}
}

func TestCombinationsAreBounded(t *testing.T) {
	t.Parallel()
	compile(t, `{"value":`+many(9)+`}`)
	_, err := filter.Compile(`{"value":` + many(10) + `}`)
	if err == nil || !strings.Contains(err.Error(), "more than 1000 combinations") {
		t.Errorf("Compile of 1,024 combinations: %v, want an error", err)
	}
}

// many nests n "$or" of two objects, which make 2^n combinations.
func many(n int) string {
	s := `{"z":["z"]}`
	for i := range n {
		s = fmt.Sprintf(`{"a%d":%s,"$or":[{"b%d":[1]},{"c%d":[2]}]}`, i, s, i, i)
	}
	return s
}

func TestAtMostTenPatterns(t *testing.T) {
	t.Parallel()
	patterns := make([]string, filter.MaxPatterns+1)
	for i := range patterns {
		patterns[i] = `{"value":["a"]}`
	}
	compile(t, patterns[1:]...)
	if _, err := filter.Compile(patterns...); err == nil {
		t.Error("eleven patterns were taken")
	}
}

func TestErrorNamesThePlace(t *testing.T) {
	t.Parallel()
	_, err := filter.Compile(`{"value":{"price":[1,{"numeric":[">"]}]}}`)
	const want = "filter pattern 0: value.price[1].numeric: must be a list of an operator and a number, or of a lower and an upper bound"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	_, err = filter.Compile(`[]`)
	if err == nil || !strings.HasPrefix(err.Error(), "filter pattern 0: it must be") {
		t.Errorf("got %v, want an error of the whole pattern", err)
	}
}

func ExampleFilter_Match() {
	f, err := filter.Compile(`{"value": {"type": ["OrderCreated"], "total": [{"numeric": [">=", 100]}]}}`)
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, value := range []string{
		`{"type": "OrderCreated", "total": 250}`,
		`{"type": "OrderCreated", "total": 25}`,
		`not JSON`,
	} {
		m := f.Match([]byte(value))
		fmt.Println(value, "->", m, m.Delivered())
	}
	// Output:
	// {"type": "OrderCreated", "total": 250} -> matched true
	// {"type": "OrderCreated", "total": 25} -> rejected false
	// not JSON -> not applied true
}
