package msktrigger_test

import (
	"bytes"
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	gocmp "github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/msktrigger"
)

// FuzzDecode: what Decode takes is JSON, and what is JSON without a name that stands twice is read as [slowly] reads it.
func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		seed, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Add(typical(f, 4))
	f.Add([]byte(eventOf("a-0", `{"topic":"a","partition":0,"offset":1}`, `{"topic": "a","partition" :0, "offset": 2,"key":"","value":""}`,
		`{"topic":"a","partition":0,"offset":3,"value":"","key":""}`)))
	for _, list := range []string{
		`[1,2,3,45,67,89,255,0,100,10,1]`, `[-1,-128,128,255,256]`, `[ 1 ,2, 3]`, `[12,345,6]`, `[11,22, 33,44,55 ,6]`, `[00,1]`, `[1,02,3,4]`, `[1e1,2,3,4,5]`,
		`[1,2,3,4,5,6,7,8,]`, `[111,222,333,44]`, `[1,2,"3",4]`, `[11111111111]`, `null`, `[]`, `{}`,
	} {
		f.Add([]byte(eventOf("a-0", `{"topic":"a","partition":0,"offset":1,"headers":[{"h":`+list+`},{"h":`+list+`}]}`)))
	}
	for _, members := range []string{
		`"key":"","value":null`, `"key":"YQ","value":"YQ=="`, `"timestamp":"-1"`, `"timestamp":1.5`, `"headers":[{"a":[1],"b":[2]},{}]`,
		`"x":[{"y":[true,false,null,-1.5e+3,"\ud83d\ude00\n"]}]`,
	} {
		f.Add([]byte(eventOf("a-0", `{`+members+`,"topic":"a","partition":"0","offset":1}`, `{`+members+`,"offset":"0","topic":"a","partition":0}`)))
	}
	f.Fuzz(func(t *testing.T, event []byte) {
		got, err := msktrigger.Decode(event)
		if err != nil {
			defect, ok := errors.AsType[*msktrigger.DecodeError](err)
			if !ok || defect.At < 0 || defect.At > len(event) {
				t.Fatalf("error %#v", err)
			}
			if strings.Contains(defect.Reason, "nested too deep") {
				return
			}
		} else if !json.Valid(event) {
			t.Fatal("not JSON, and taken")
		}
		// Names that stand twice and text that is no UTF-8 are beyond the slow reader.
		if jsontext.Value(event).IsValid() {
			want, wantErr := slowly(event)
			if (err == nil) != (wantErr == nil) {
				t.Fatalf("error %v, want %v", err, wantErr)
			}
			if diff := gocmp.Diff(show(want), show(alike(got))); diff != "" {
				t.Fatalf("batch differs (-want +got):\n%s", diff)
			}
		}
	})
}

var errPoison = errors.New("poison")

// alike makes the errors of a batch's records the same.
func alike(b *msktrigger.Batch) *msktrigger.Batch {
	if b == nil {
		return &msktrigger.Batch{}
	}
	for _, p := range b.Partitions {
		for i := range p.Records {
			if p.Records[i].Err != nil {
				p.Records[i].Err = errPoison
			}
		}
	}
	return b
}

var (
	errRefused = errors.New("refused")
	wholeText  = regexp.MustCompile(`^-?(0|[1-9][0-9]*)$`)
	nameText   = regexp.MustCompile(`^([A-Za-z0-9._-]{1,249})-(0|[1-9][0-9]*)$`)
)

// slowly reads an event as Decode does, by encoding/json and without a thought of speed.
func slowly(event []byte) (b *msktrigger.Batch, err error) {
	b = &msktrigger.Batch{}
	var parts map[string]json.RawMessage
	if json.Unmarshal(event, &parts) != nil || parts == nil {
		return b, errRefused
	}
	var source string
	var lists map[string][]map[string]json.RawMessage
	if parts["records"] == nil || json.Unmarshal(parts["eventSource"], &source) != nil || json.Unmarshal(parts["records"], &lists) != nil {
		return b, errRefused
	}
	if !slices.Contains([]string{"aws:kafka", "SelfManagedKafka", "aws:SelfManagedKafka"}, source) {
		return b, errRefused
	}
	for name, list := range lists {
		p, err := slowPartition(name, list)
		if err != nil {
			return &msktrigger.Batch{}, err
		}
		b.Partitions = append(b.Partitions, p)
	}
	slices.SortFunc(b.Partitions, func(a, b msktrigger.Partition) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	})
	return b, nil
}

func slowPartition(name string, list []map[string]json.RawMessage) (p msktrigger.Partition, err error) {
	parts := nameText.FindStringSubmatch(name)
	if parts == nil {
		return p, errRefused
	}
	number, err := strconv.ParseInt(parts[2], 10, 32)
	if err != nil {
		return p, errRefused
	}
	p.Name, p.Topic, p.Number = name, parts[1], int32(number)
	for _, members := range list {
		r := msktrigger.Record{}
		r.Topic, r.Partition = p.Topic, p.Number
		var topic *string
		_ = json.Unmarshal(members["topic"], &topic)
		partition, partitionErr := slowInteger(members["partition"])
		offset, offsetErr := slowInteger(members["offset"])
		if topic == nil || *topic != p.Topic || partition != number || offset < 0 || partitionErr != nil || offsetErr != nil {
			return p, errRefused
		}
		r.Offset = offset
		r.Err = slowRecord(&r, members)
		p.Records = append(p.Records, r)
	}
	slices.SortStableFunc(p.Records, func(a, b msktrigger.Record) int { return cmp.Compare(a.Offset, b.Offset) })
	return p, nil
}

func slowRecord(r *msktrigger.Record, members map[string]json.RawMessage) (err error) {
	var keyErr, valueErr, headersErr, timeErr error
	r.Key, keyErr = slowBytes(members["key"])
	r.Value, valueErr = slowBytes(members["value"])
	r.Headers, headersErr = slowHeaders(members["headers"])
	if text := members["timestamp"]; text != nil && string(text) != "null" {
		var ms int64
		if ms, timeErr = slowInteger(text); timeErr == nil && ms >= 0 {
			r.Timestamp = time.UnixMilli(ms).UTC()
		}
	}
	if errors.Join(keyErr, valueErr, headersErr, timeErr) != nil {
		return errPoison
	}
	return nil
}

func slowInteger(text []byte) (int64, error) {
	if len(text) > 0 && text[0] == '"' {
		if bytes.ContainsRune(text, '\\') {
			return 0, errPoison
		}
		text = text[1 : len(text)-1]
	}
	if !wholeText.Match(text) {
		return 0, errPoison
	}
	if n, err := strconv.ParseInt(string(text), 10, 64); err == nil {
		return n, nil
	}
	return 0, errPoison
}

func slowBytes(text []byte) ([]byte, error) {
	if text == nil || string(text) == "null" {
		return nil, nil
	}
	var encoded string
	if err := json.Unmarshal(text, &encoded); err != nil {
		return nil, err
	}
	if strings.ContainsAny(encoded, "\r\n") {
		return nil, errPoison
	}
	return base64.StdEncoding.DecodeString(encoded)
}

func slowHeaders(text []byte) (list []kafkabinding.Header, err error) {
	var objects []json.RawMessage
	if text == nil {
		return nil, nil
	}
	if err := json.Unmarshal(text, &objects); err != nil {
		return nil, err
	}
	for _, object := range objects {
		d := jsontext.NewDecoder(bytes.NewReader(object))
		if open, err := d.ReadToken(); err != nil || open.Kind() != '{' {
			return nil, errPoison
		}
		for d.PeekKind() != '}' {
			name, nameErr := d.ReadToken()
			h := kafkabinding.Header{Key: []byte(name.String())}
			value, valueErr := d.ReadValue()
			if err := errors.Join(nameErr, valueErr); err != nil {
				return nil, err
			}
			if h.Value, err = slowList(value); err != nil {
				return nil, err
			}
			list = append(list, h)
		}
	}
	return list, nil
}

func slowList(text []byte) ([]byte, error) {
	if string(text) == "null" {
		return nil, nil
	}
	var all []json.RawMessage
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, err
	}
	list := []byte{}
	for _, number := range all {
		n, err := slowInteger(number)
		if err != nil || number[0] == '"' || n < -128 || n > 255 {
			return nil, fmt.Errorf("%w: %s", errPoison, number)
		}
		list = append(list, byte(n))
	}
	return list, nil
}
