package msktrigger_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/runtime/msktrigger"
)

// show writes a batch down, a line for each record, behind the name of its partition.
func show(b *msktrigger.Batch) []string {
	var lines []string
	for _, p := range b.Partitions {
		lines = append(lines, p.Name)
		for _, r := range p.Records {
			lines = append(lines, showRecord(&r))
		}
	}
	return lines
}

func showRecord(r *msktrigger.Record) string {
	line := r.String()
	if !r.Timestamp.IsZero() {
		line += r.Timestamp.Format(" 2006-01-02T15:04:05.000Z07:00")
	}
	if r.Err != nil {
		return line + " " + r.Err.Error()
	}
	line += fmt.Sprintf(" %s:%s", text(r.Key), text(r.Value))
	for _, h := range r.Headers {
		line += fmt.Sprintf(" %s=%s", text(h.Key), text(h.Value))
	}
	return line
}

func text(b []byte) string {
	if b == nil {
		return "null"
	}
	return fmt.Sprintf("%q", b)
}

func TestEventsOfEveryShape(t *testing.T) {
	t.Parallel()
	const (
		hello = `"Hello, this is a test."`
		key   = `"i\xb7\x03\x10X!\x88\x92\x8b\x9az\x0fA\x1b-\xb9U\x97\xcb=v\xdf"`
	)
	for file, want := range map[string][]string{
		"msk.json": {
			"mytopic-0", "mytopic/0@15 2018-12-17T22:10:50.987Z " + key + ":" + hello + ` "headerKey"="headerValue"`,
		},
		"self-managed.json": {
			"mytopic-0", "mytopic/0@15 2018-12-17T22:10:50.987Z " + key + ":" + hello + ` "headerKey"="headerValue"`,
		},
		"stale.json": {
			"mytopic-0", "mytopic/0@15 2018-12-17T22:10:50.987Z null:" + hello,
		},
		"registry.json": {
			"orders-7",
			`orders/7@0 2018-12-17T22:10:50.987Z "{\"id\":1}":"{\"n\":1}"`,
			`orders/7@1 2018-12-17T22:10:50.988Z null:"{\"n\":2}"`,
		},
		"odd.json": {
			"my-topic.v1_x-2",
			`my-topic.v1_x/2@1 "\xff\xff\xbf":"\xff\xff\xbf" "ce_é\n\""="e" "é"="\x01\x02" ""="\t"`,
			"my-topic.v1_x-3",
			"my-topic.v1_x-4",
			"my-topic.v1_x-10",
			`my-topic.v1_x/10@7 null:null`,
			`my-topic.v1_x/10@7 1970-01-01T00:00:00.000Z null:"b"`,
			`my-topic.v1_x/10@8 null:null "a"="\x01" "b"="\xff\xff\x80\x80"`,
			`my-topic.v1_x/10@9 "":"" "empty"="" "null"=null "empty"="\x00"`,
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			payload, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			got, err := msktrigger.Decode(payload)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, show(got)); diff != "" {
				t.Errorf("batch differs (-want +got):\n%s", diff)
			}
		})
	}
}

// event returns an event with one list of records.
func eventOf(name string, records ...string) string {
	return fmt.Sprintf(`{"eventSource":"aws:kafka","records":{%q:[%s]}}`, name, strings.Join(records, ","))
}

func TestAnEventThatCannotBeUnderstoodIsRefused(t *testing.T) {
	t.Parallel()
	const good = `{"topic":"a","partition":0,"offset":1}`
	deep := func(n int) string { return strings.Repeat("[", n) + strings.Repeat("]", n) }
	for _, tc := range []struct{ name, event, want string }{
		{"nothing", ``, "is cut short (at byte 0)"},
		{"no object", `[]`, "must be an object (at byte 0)"},
		{"no JSON", `{"eventSource":"aws:kafka",}`, "must be a string (at byte 27)"},
		{"cut short", `{"eventSource":"aws:kafka","records":{"a-0":[{"topic":"a`, "records of a-0: record 0 of the list: topic is cut short (at byte 56)"},
		{"more", eventOf("a-0", good) + `{}`, "is followed by something else"},
		{"no source", `{"records":{}}`, "eventSource is missing"},
		{"no records", `{"eventSource":"aws:kafka"}`, "records is missing"},
		{"queue", `{"Records":[{"eventSource":"aws:sqs","body":"secret"}]}`, "eventSource is missing"},
		{"other source", `{"eventSource":"aws:mq","records":{}}`, "eventSource must be aws:kafka or SelfManagedKafka"},
		{"source twice", `{"eventSource":"aws:kafka","eventSource":"aws:kafka"}`, "eventSource stands twice"},
		{"source null", `{"eventSource":null}`, "eventSource must be a string"},
		{"records twice", `{"eventSource":"aws:kafka","records":{},"records":{}}`, "records stands twice"},
		{"records no object", `{"eventSource":"aws:kafka","records":[]}`, "records must be an object"},
		{"list no list", `{"eventSource":"aws:kafka","records":{"a-0":{}}}`, "records of a-0: must be a list"},
		{"record no object", eventOf("a-0", `7`), "records of a-0: record 0 of the list: must be an object"},
		{"record null", eventOf("a-0", `null`), "records of a-0: record 0 of the list: must be an object"},
		{"name without hyphen", eventOf("a0", good), "records has a list that is not named by topic, hyphen and partition"},
		{"name without number", eventOf("a-", good), "records has a list"},
		{"name without topic", eventOf("-0", good), "records has a list"},
		{"name with zeros", eventOf("a-00", good), "records has a list"},
		{"name beyond 32 bits", eventOf("a-2147483648", good), "records has a list"},
		{"name that Kafka refuses", eventOf("a b-0", good), "records has a list"},
		{"long name", eventOf(strings.Repeat("a", 250)+"-0", good), "records has a list"},
		{"topic twice", eventOf("a-0", good, `{"topic":"a","topic":"a","partition":0,"offset":1}`), "record 1 of the list: topic stands twice"},
		{"topic where the record before has it, too", eventOf("a-0", good, `{"offset":2,"topic":"a","partition":0}`,
			`{"topic":"a","topic":"a","partition":0,"offset":3}`), "record 2 of the list: topic stands twice"},
		{"other partition than before", eventOf("a-1", `{"topic":"a","partition":1,"offset":1}`, `{"topic":"a","partition":12,"offset":1}`),
			"record 1 of the list: partition disagrees"},
		{"partition of the list before", `{"eventSource":"aws:kafka","records":{"a-0":[` + good + `],"a-1":[` + good + `]}}`,
			"records of a-1: record 0 of the list: partition disagrees"},
		{"other topic", eventOf("b-0", good), "records of b-0: record 0 of the list: topic disagrees with the name of the list"},
		{"other partition", eventOf("a-1", good), "records of a-1: record 0 of the list: partition disagrees with the name of the list"},
		{"no topic", eventOf("a-0", `{"partition":0,"offset":1}`), "record 0 of the list, offset 1: topic is missing"},
		{"no partition", eventOf("a-0", `{"topic":"a","offset":1}`), "record 0 of the list, offset 1: partition is missing"},
		{"no offset", eventOf("a-0", good, `{"topic":"a","partition":0}`), "record 1 of the list: offset is missing"},
		{"offset twice", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"offset":2}`), "offset stands twice"},
		{"offset null", eventOf("a-0", `{"topic":"a","partition":0,"offset":null}`), "offset must be a whole number"},
		{"negative offset", eventOf("a-0", `{"topic":"a","partition":0,"offset":-1}`), "offset is out of range"},
		{"large offset", eventOf("a-0", `{"topic":"a","partition":0,"offset":9223372036854775808}`), "offset is out of range"},
		{"larger offset", eventOf("a-0", `{"topic":"a","partition":0,"offset":99999999999999999999}`), "offset is out of range"},
		{"fraction", eventOf("a-0", `{"topic":"a","partition":0,"offset":1.5}`), "offset must be a whole number"},
		{"exponent", eventOf("a-0", `{"topic":"a","partition":0,"offset":1E3}`), "offset must be a whole number"},
		{"leading zero", eventOf("a-0", `{"topic":"a","partition":0,"offset":01}`), "offset must be a whole number"},
		{"text for a number", eventOf("a-0", `{"topic":"a","partition":"0x0","offset":1}`), "partition must be a whole number"},
		{"depth", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"x":`+deep(65)+`}`), "is nested too deep"},
		{"depth of a header", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"headers":`+deep(100_000)+`}`), "headers is nested too deep"},
		{"control character", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"x":"`+"\n"+`"}`), "a string holds a control character"},
		{"bad escape", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"x":"\x"}`), "a string holds an escape that there is not"},
		{"bad hexadecimal", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"x":"\u00g0"}`), "a string holds an escape that there is not"},
		{"bad number", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"x":-}`), "is not JSON"},
		{"bad word", eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"x":nul}`), "is not JSON"},
		{"too large", strings.Repeat(" ", 8<<20+1), "is larger than 8 MiB"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := msktrigger.Decode([]byte(tc.event))
			if defect, ok := errors.AsType[*msktrigger.DecodeError](err); !ok || !strings.Contains(defect.Error(), tc.want) {
				t.Errorf("Decode() = %v, want an error with %q", err, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells a payload: %v", err)
			}
		})
	}
}

func TestARecordThatCannotBeReadIsPoisonAlone(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, members, want string }{
		{"no base64", `"value":"secret!!"`, "value is not base64"},
		{"no padding", `"value":"c2VjcmV0YQ"`, "value is not base64"},
		{"alphabet of URLs", `"key":"_-_-"`, "key is not base64"},
		{"base64 with an escape", `"key":"AAA\n"`, "key is not base64"},
		{"base64 with a line break", `"key":"AAAA\n\r\n\n"`, "key is not base64"},
		{"padding alone", `"key":"===="`, "key is not base64"},
		{"number for a value", `"value":7`, "value must be a string"},
		{"object for a value", `"value":{"secret":[1]}`, "value must be a string"},
		{"value twice", `"value":"YQ==","value":"Yg=="`, "value stands twice"},
		{"headers no list", `"headers":{"secret":[1]}`, "headers must be a list"},
		{"header no object", `"headers":[[1]]`, "headers must be an object"},
		{"header in base64", `"headers":[{"a":"YQ=="}]`, "headers must hold lists of numbers"},
		{"byte too large", `"headers":[{"a":[1,256]}]`, "headers must hold lists of numbers from −128 to 255"},
		{"byte too small", `"headers":[{"a":[-129]}]`, "headers must hold lists"},
		{"byte far too large", `"headers":[{"a":[99999999999999999999]}]`, "headers must hold lists"},
		{"fraction", `"headers":[{"a":[1.0]}]`, "headers must hold lists"},
		{"exponent", `"headers":[{"a":[1e2]}]`, "headers must hold lists"},
		{"strings for bytes", `"headers":[{"a":["]",1]}]`, "headers must hold lists"},
		{"lists for bytes", `"headers":[{"a":[[1],[2]]}]`, "headers must hold lists"},
		{"null for a byte", `"headers":[{"a":[null]}]`, "headers must hold lists"},
		{"time in words", `"timestamp":"2026-11-23T10:00:00Z"`, "timestamp must be a whole number"},
		{"time out of range", `"timestamp":9223372036854775808`, "timestamp is out of range"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, err := msktrigger.Decode([]byte(eventOf("a-0",
				`{`+tc.members+`,"topic":"a","partition":0,"offset":5}`, `{"topic":"a","partition":0,"offset":6,"value":"YQ=="}`)))
			if err != nil {
				t.Fatal(err)
			}
			records := b.Partitions[0].Records
			if len(records) != 2 || records[1].Err != nil || string(records[1].Value) != "a" {
				t.Fatalf("records %v, want the second unharmed", show(b))
			}
			prefix := "records of a-0: record 0 of the list, offset 5: " + tc.want
			if err := records[0].Err; err == nil || !strings.Contains(err.Error(), prefix) || strings.Contains(err.Error(), "secret") {
				t.Errorf("error %v, want one with %q", err, prefix)
			}
		})
	}
}

// TestRecordsThatResembleTheOneBefore: what is written as in the record before need not be read again, what only begins so must be.
func TestRecordsThatResembleTheOneBefore(t *testing.T) {
	t.Parallel()
	const first = `{"topic":"a","partition":0,"x":1,"offset":1,"headers":[{"h":[49,50]},{"i":[51]}]}`
	for _, tc := range []struct{ record, want string }{
		{first, `a/0@1 null:null "h"="12" "i"="3"`},
		{`{"topic":"a", "partition":0 ,"x":1 , "offset":1}`, `a/0@1 null:null`},
		{`{"topic":"a","partition":0,"x":12,"offset":1,"headers":[{"h":[49]},{"i":[51]}]}`, `a/0@1 null:null "h"="1" "i"="3"`},
		{`{"x":1,"partition":0,"topic":"a","offset":2}`, `a/0@2 null:null`},
		{`{"topic":"a","partition":0,"x":1,"offset":1,"headers":[{"h": [49,50 ] },{"i":[51,52]}]}`, `a/0@1 null:null "h"="12" "i"="34"`},
		{`{"topic":"a","partition":0,"x":1,"offset":1,"headers":[{"h":[50],"more":[51]},{"i":null}]}`, `a/0@1 null:null "h"="2" "more"="3" "i"=null`},
		{`{"topic":"a","partition":0,"x":1,"offset":1,"headers":[{"hi":[50]},{},{"i":[]}]}`, `a/0@1 null:null "hi"="2" "i"=""`},
		{`{"topic":"a","partition":0,"x":1,"offset":1,"headers":[{"i":[51]},{"h":[49,50]}]}`, `a/0@1 null:null "i"="3" "h"="12"`},
	} {
		b, err := msktrigger.Decode([]byte(eventOf("a-0", first, tc.record, first)))
		if err != nil {
			t.Errorf("%s: %v", tc.record, err)
			continue
		}
		for _, r := range b.Partitions[0].Records {
			if got := showRecord(&r); got != tc.want && got != `a/0@1 null:null "h"="12" "i"="3"` {
				t.Errorf("%s: read as %s, want %s", tc.record, got, tc.want)
			}
		}
		if !slices.Contains(show(b), tc.want) {
			t.Errorf("%s: read as\n%s\nwithout %s", tc.record, strings.Join(show(b), "\n"), tc.want)
		}
	}
}

// TestEveryPairOfBytes: bytes are read two at a time, by how they are written.
func TestEveryPairOfBytes(t *testing.T) {
	t.Parallel()
	var list []string
	var want []byte
	for a := range 256 {
		for b := range 256 {
			list = append(list, strconv.Itoa(a), strconv.Itoa(b))
			want = append(want, byte(a), byte(b))
		}
	}
	headers := func(list []string) string {
		return eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"headers":[{"h":[`+strings.Join(list, ",")+`]}]}`)
	}
	b, err := msktrigger.Decode([]byte(headers(list)))
	if err != nil {
		t.Fatal(err)
	}
	if got := b.Partitions[0].Records[0].Headers[0].Value; !bytes.Equal(got, want) {
		t.Error("bytes differ")
	}
	for _, odd := range []string{"012", "00", "09", "256", "1:", ":1", "/1", "1 2", "1.", "\"1\"", "\x80", "\xff1", "1\xff", "10\xad10"} {
		for place := range 6 {
			list := []string{"10", "99", "10", "99", "10", "99", "10", "99"}
			list[place] = odd
			b, err := msktrigger.Decode([]byte(headers(list)))
			if err == nil && b.Partitions[0].Records[0].Err == nil {
				t.Errorf("%s is taken for bytes", list)
			}
		}
	}
}

func TestABrokenListOfBytesIsNoJSON(t *testing.T) {
	t.Parallel()
	for _, list := range []string{`[1,]`, `[,1]`, `[1 2]`, `[-]`, `[+1]`, `[01]`, `[1`, `[1,2}`} {
		_, err := msktrigger.Decode([]byte(eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"headers":[{"a":`+list+`}]}`)))
		if err == nil {
			t.Errorf("%s: not refused", list)
		}
	}
}

func TestABatchKeepsNothingOfThePayload(t *testing.T) {
	t.Parallel()
	payload := typical(t, 10)
	b, err := msktrigger.Decode(payload)
	if err != nil {
		t.Fatal(err)
	}
	before := show(b)
	clear(payload)
	if diff := cmp.Diff(before, show(b)); diff != "" {
		t.Errorf("batch changed with the payload (-before +after):\n%s", diff)
	}
}

func TestRecordsDoNotShareRoomToGrow(t *testing.T) {
	t.Parallel()
	b, err := msktrigger.Decode(typical(t, 2))
	if err != nil {
		t.Fatal(err)
	}
	before := show(b)
	for _, p := range b.Partitions {
		for _, r := range p.Records {
			_ = append(r.Key, 'X')
			_ = append(r.Value, 'X')
			_ = append(r.Headers, r.Headers[0])
			_ = append(r.Headers[0].Value, 'X')
		}
	}
	if diff := cmp.Diff(before, show(b)); diff != "" {
		t.Errorf("to append to a part of a record changed another (-before +after):\n%s", diff)
	}
}
