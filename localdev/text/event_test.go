package text_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/localdev/text"
)

const (
	cloudEvent = `{"specversion":"1.0","id":"e-1","source":"/shop","type":"test.met.v1","subject":"s-1","partitionkey":"k-1","data":{"a":1}}`
	envelope   = `{"eventId":"e-2","eventType":"OrderCreated","aggregateId":"order-1","data":{"orderId":"order-1"}}`
)

// found is what Events yields, in words.
func found(input string) []string {
	var lines []string
	for e, err := range text.Events([]byte(input)) {
		if err != nil {
			lines = append(lines, err.Error())
			continue
		}
		lines = append(lines, fmt.Sprintf("%d:%d %s key %s", e.Line, e.Item, e.ID(), e.Message.Key))
	}
	return lines
}

func TestEvents(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		input string
		want  []string
	}{
		"nothing":             {"", nil},
		"space":               {" \n\t\r\n", nil},
		"an empty array":      {"[]", nil},
		"one":                 {cloudEvent, []string{"1:1 e-1 key k-1"}},
		"byte order mark":     {"\ufeff" + cloudEvent, []string{"1:1 e-1 key k-1"}},
		"without space":       {cloudEvent + envelope, []string{"1:1 e-1 key k-1", "1:2 e-2 key order-1"}},
		"lines":               {cloudEvent + "\n\n" + envelope + "\r\n", []string{"1:1 e-1 key k-1", "3:2 e-2 key order-1"}},
		"an array":            {"[\n" + cloudEvent + ",\n" + envelope + "\n]", []string{"2:1 e-1 key k-1", "3:2 e-2 key order-1"}},
		"an array and more":   {"[" + cloudEvent + "]\n" + envelope, []string{"1:1 e-1 key k-1", "2:2 e-2 key order-1"}},
		"on several lines":    {strings.ReplaceAll(cloudEvent, ",", ",\n") + "\n" + envelope, []string{"1:1 e-1 key k-1", "8:2 e-2 key order-1"}},
		"not JSON":            {"hello", []string{"line 1 (item 1): is not JSON: invalid character 'h' at start of value at line 1, column 1"}},
		"a number":            {"42", []string{"line 1 (item 1): is not a JSON object"}},
		"an array in another": {"[[" + cloudEvent + "]]", []string{"line 1 (item 1): is not a JSON object"}},
		"neither":             {`{"id":"1"}`, []string{"line 1 (item 1): is neither a CloudEvent (it has no specversion) nor an envelope (no eventId, no eventType)"}},
		"half a CloudEvent":   {`{"specversion":"1.0","id":"1"}`, []string{`line 1 (item 1): CloudEvent: attribute "source" is missing`}},
		"half an envelope":    {`{"eventId":"1"}`, []string{"line 1 (item 1): JSON envelope: member eventType is missing or null"}},
		"cut off":             {cloudEvent + "\n" + envelope[:40], []string{"1:1 e-1 key k-1", "line 2 (item 2): is not JSON: the input ends within it"}},
		"cut off, after lines that look whole": {
			cloudEvent + "\n{\"a\":[\n{},\n" + envelope, []string{"1:1 e-1 key k-1", "line 2 (item 2): is not JSON: the input ends within it"},
		},
		"an array cut off": {"[" + cloudEvent, []string{"1:1 e-1 key k-1", "line 1 (item 2): is not JSON: the input ends within it"}},
		"a bad line between": {
			cloudEvent + "\n" + `{"a":1` + "\n" + envelope,
			[]string{"1:1 e-1 key k-1", "line 2 (item 2): is not JSON: invalid character '{' after object value (expecting ',' or '}') at line 3, column 1", "3:3 e-2 key order-1"},
		},
		"a bad element on one line": {"[x," + cloudEvent + "]", []string{"line 1 (item 1): is not JSON: invalid character 'x' at start of value at line 1, column 2; the rest of the array was not read"}},
		"a bad element": {
			"[" + cloudEvent + ",\nx,\n" + envelope + "]",
			[]string{"1:1 e-1 key k-1", "line 2 (item 2): is not JSON: invalid character 'x' at start of value at line 2, column 1; the rest of the array was not read"},
		},
		"a name twice":  {`{"eventId":"1","eventId":"2","eventType":"x","aggregateId":"1"}` + "\n" + cloudEvent, []string{"line 1 (item 1): JSON envelope: member eventId has a name that stands twice", "2:2 e-1 key k-1"}},
		"no UTF-8":      {"{\"eventId\":\"\xff\",\"eventType\":\"x\",\"aggregateId\":\"1\"}\n" + cloudEvent, []string{"line 1 (item 1): JSON envelope: value is not valid JSON (at byte 12)", "2:2 e-1 key k-1"}},
		"too large":     {`{"specversion":"` + strings.Repeat("x", 2<<20) + `"}` + "\n" + cloudEvent, []string{"line 1 (item 1): has 2097170 bytes, an event may have 1048576", "2:2 e-1 key k-1"}},
		"nested deeply": {strings.Repeat(`{"a":`, 20000) + "\n" + cloudEvent, []string{"line 1 (item 1): is not JSON: exceeded max depth at line 1, column 50001", "2:2 e-1 key k-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(test.want, found(test.input)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEventsBecomeRecords(t *testing.T) {
	t.Parallel()
	input := cloudEvent + ` { "eventId":"e-2", "eventType":"x", "aggregateId":"a" } ` +
		`{"specversion":"1.0","id":"e-3","source":"/s","type":"t","subject":"s-3"}{"specversion":"1.0","id":"e-4","source":"/s","type":"t"}`
	var got []kafkabinding.Message
	for e, err := range text.Events([]byte(input)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Message)
	}
	header := func(name, value string) kafkabinding.Header {
		return kafkabinding.Header{Key: []byte(name), Value: []byte(value)}
	}
	want := []kafkabinding.Message{
		{Key: []byte("k-1"), Value: []byte(`{"a":1}`), Headers: []kafkabinding.Header{
			header("ce_specversion", "1.0"), header("ce_id", "e-1"), header("ce_source", "/shop"), header("ce_type", "test.met.v1"),
			header("ce_subject", "s-1"), header("ce_partitionkey", "k-1"), header("content-type", "application/json"),
		}},
		{Key: []byte("a"), Value: []byte(`{ "eventId":"e-2", "eventType":"x", "aggregateId":"a" }`)},
		{Key: []byte("s-3"), Headers: []kafkabinding.Header{
			header("ce_specversion", "1.0"), header("ce_id", "e-3"), header("ce_source", "/s"), header("ce_type", "t"), header("ce_subject", "s-3"),
		}},
		{Headers: []kafkabinding.Header{
			header("ce_specversion", "1.0"), header("ce_id", "e-4"), header("ce_source", "/s"), header("ce_type", "t"),
		}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestEventsThatAreNotReadAreMentioned(t *testing.T) {
	t.Parallel()
	lines := found(strings.Repeat("{x\n", 101) + cloudEvent)
	if last := lines[len(lines)-1]; len(lines) != 101 || !strings.HasSuffix(last, "the rest was not read") {
		t.Errorf("%d items, the last is %s", len(lines), last)
	}
}

// The time does not grow with the square of the input.
func TestBadInputIsReadInTime(t *testing.T) {
	t.Parallel()
	const lines = 1 << 17
	for name, line := range map[string]string{
		"open objects": "{\"a\":[\n", "half objects": "{\"a\"\n", "braces": "{\n", "commas": ",\n", "words": "x\n", "arrays": "[",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			items := 0
			for _, err := range text.Events([]byte(strings.Repeat(line, lines))) {
				if err == nil {
					t.Fatal("an event was found")
				}
				items++
			}
			if items == 0 || items > 101 {
				t.Errorf("%d items, want 1 to 101", items)
			}
		})
	}
}

func TestEventsEndWhenNobodyListens(t *testing.T) {
	t.Parallel()
	for e, err := range text.Events([]byte(cloudEvent + cloudEvent)) {
		if err != nil || e.Item > 1 {
			t.Error("a second event was yielded", err)
		}
		break
	}
}

// Whatever the input, Events ends, numbers what it finds, and returns records that the runtime can read.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{
		cloudEvent, envelope, "[" + cloudEvent + "," + envelope + "]", cloudEvent + "\n{\n" + envelope, "[[1]]", "]", "{}{}", "\ufeff", "\xff",
		`{"eventId":"` + "\x00" + `"}`, "[\n{", ",", "1 2 3", `"a"`, "null", "[,]", "[1", "{\n{\n{",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		items, line := 0, 0
		for e, err := range text.Events(input) {
			items++
			var problem *text.InputError
			switch {
			case errors.As(err, &problem):
				e = &text.Event{Line: problem.Line, Item: problem.Item}
			case err != nil:
				t.Fatalf("an error of another type: %v", err)
			default:
				read, err := text.Decode(e.Message)
				if err != nil || read.ID() != e.ID() {
					t.Errorf("%q became a record that reads as %q, %v", e.ID(), read.ID(), err)
				}
			}
			if e.Item != items || e.Line < line {
				t.Errorf("item %d at line %d after item %d at line %d", e.Item, e.Line, items-1, line)
			}
			line = e.Line
		}
		if items > len(input) {
			t.Errorf("%d items in %d bytes", items, len(input))
		}
	})
}
