package kafkabinding_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/cloudeventstest"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// sdkDiffers names the binding cases that the SDK (sdk-go and kafka_sarama v2.16.2) decodes differently, and how.
var sdkDiffers = map[string]string{
	// Events that the SDK refuses, or decodes to something else.
	"Structured content mode (application/cloudevents+json)":                `keeps white space before data`,
	"Structured content mode (application/cloudevents+json; charset=utf-8)": `keeps white space before data`,
	"binary: empty value is empty data":                                     `takes empty data for none`,
	`binary: id " padded "`:                                                 `trims id, type and subject`,
	"binary: extension that names an attribute of the broker":               `overwrites it with the record's own offset`,
	"binary: header names in other case are other headers":                  `folds the case of header names; the last one wins`,
	"binary: media type with white space around it":                         `trims media type and dataschema`,
	"binary: dataschema with white space behind it":                         `trims media type and dataschema`,
	"structured: data and no type is JSON":                                  `leaves the implied media type out`,
	"structured: null is data":                                              `leaves the implied media type out`,
	"structured: number is data":                                            `reads numbers into floats`,
	"structured: JSON string keeps its quotes":                              `leaves the implied media type out`,
	"structured: names that stand twice in data":                            `leaves the implied media type out`,
	"structured: another JSON type":                                         `does not know +json types`,
	"structured: base64 with escapes":                                       `does not unescape base64 when the type comes later`,
	"structured: base64 that is null is absent":                             `panics`,
	"structured: attributes that are null are unset":                        `reads a null datacontenttype as an empty one`,

	// What the SDK accepts, though it is no CloudEvent.
	"binary fault: no id":                                         `finds it in Validate only`,
	"binary fault: no source":                                     `finds it in Validate only`,
	"binary fault: no type":                                       `finds it in Validate only`,
	`binary fault: type ""`:                                       `finds it in Validate only`,
	`binary fault: dataschema "/relative"`:                        `finds it in Validate only`,
	`binary fault: datacontenttype "text/"`:                       `finds it in Validate only`,
	`binary fault: specversion "0.3"`:                             `supports 0.3`,
	`binary fault: id "\xff"`:                                     `does not check UTF-8`,
	`binary fault: subject "a\nb"`:                                `does not check for forbidden characters`,
	`binary fault: subject ""`:                                    `takes empty for unset`,
	"binary fault: id stands twice":                               `the last one wins`,
	"binary fault: myextension is null":                           `takes null for empty`,
	`binary fault: attribute name "Foo"`:                          `folds the case`,
	"binary fault: reserved name data":                            `makes it an extension`,
	"binary fault: reserved name datacontenttype":                 `takes it for content-type`,
	"structured fault: " + object(`,"":1`):                        `stops reading at an empty name`,
	"structured fault: " + object(`,"id":"2"`):                    `the last one wins`,
	"structured fault: " + object(`,"ext":1.5`):                   `cuts off the fraction`,
	"structured fault: " + object(`,"Ext":1`):                     `folds the case`,
	"structured fault: " + object(`,"x":"\ud800"`):                `replaces half a character`,
	"structured fault: content type that stands twice":            `the last one wins`,
	"structured fault: content type application/cloudevents+avro": `takes an unknown format for binary mode`,

	// What the SDK takes for a CloudEvent.
	"foreign: header names in other case": `folds the case of header names`,
	"foreign: content-type in other case": `folds the case of header names`,
}

// object returns the value of the structured cases, with more members.
func object(members string) string {
	return `{"specversion":"1.0","id":"1234-1234-1234","type":"com.example.someevent",` +
		`"source":"/mycontext/subcontext","time":"2018-04-05T03:56:24Z"` + members + `}`
}

// TestSameRecordSameEvent: the SDK decodes the binding cases to the same events, but for those in sdkDiffers.
func TestSameRecordSameEvent(t *testing.T) {
	t.Parallel()
	unknown := maps.Clone(sdkDiffers)
	for _, c := range cloudeventstest.BindingCases() {
		delete(unknown, c.Name)
		how, differs := sdkDiffers[c.Name]
		if c.Want == nil && !differs {
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			t.Parallel()
			got, err := sdkDecode(c.Message)
			same := c.Want == nil && err != nil ||
				c.Want != nil && err == nil && cloudeventstest.Diff(*c.Want, got) == ""
			switch {
			case differs && same:
				t.Errorf("the SDK agrees; sdkDiffers says that it %s", how)
			case !differs && err != nil:
				t.Errorf("SDK: %v", err)
			case !differs:
				cloudeventstest.Equal(t, *c.Want, got)
			}
		})
	}
	for name := range unknown {
		t.Errorf("sdkDiffers: there is no case %q", name)
	}
}

// TestNoCoordinates: the SDK makes the record's coordinates extensions, and writes them again when the event goes on.
func TestNoCoordinates(t *testing.T) {
	t.Parallel()
	m := cloudeventstest.Record(t, orderCreated(t))
	theirs, err := sdkDecodeRecord(consumerMessage(m))
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := theirs.Extensions()["kafkaoffset"]; !ok {
		t.Error("the SDK has changed: no extension kafkaoffset; the comparison in sdkDecode can be simpler")
	}
	ours, err := kafkabinding.Decode(m)
	if err != nil {
		t.Fatal(err)
	}
	cloudeventstest.Equal(t, orderCreated(t), ours)
}

// TestSDKWritesDifferently shows where messages of the SDK are not what the binding asks for.
func TestSDKWritesDifferently(t *testing.T) {
	t.Parallel()
	with := func(contentType, data string) event.Event {
		e := orderCreated(t)
		e.SetDataContentType(contentType)
		e.DataEncoded = []byte(data)
		return e
	}
	keyed := orderCreated(t)
	keyed.SetExtension("partitionkey", "order-12345")
	for _, c := range []struct {
		name      string
		event     event.Event
		mode      kafkabinding.Mode
		ours, sdk string // a part of what outcome returns
	}{
		{"key mapping by default", keyed, kafkabinding.Binary, `key ""`, `key "order-12345"`},
		{"no data for empty data", with("text/plain", ""), kafkabinding.Binary, `null false`, `null true`},
		{"no charset", orderCreated(t), kafkabinding.Structured, `json; charset=UTF-8,`, `json,`},
		{"no event for empty data", with("application/json", ""), kafkabinding.Structured, `"data_base64":""`, `error`},
		{"a string for +json", with("application/vnd.a+json", `{"a":1}`), kafkabinding.Structured,
			`"data":{"a":1}`, `"data":"{\"a\":1}"`},
		{"no UTF-8 for what is not UTF-8", with("text/plain", "\xff"), kafkabinding.Structured,
			`"data_base64":"/w=="`, "\"data\":\"\xff\""},
		{"JSON data rewritten", with("application/json", `{ "a": "<" }`), kafkabinding.Structured,
			`"data":{ "a": "<" }`, `"data":{"a":"\u003c"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ours := outcome(kafkabinding.Encode(c.event, c.mode))
			if !strings.Contains(ours, c.ours) || strings.Contains(ours, c.sdk) {
				t.Errorf("ours: %s\nwant %s in it, and not %s", ours, c.ours, c.sdk)
			}
			theirs := outcome(sdkEncode(c.event, c.mode))
			if !strings.Contains(theirs, c.sdk) || strings.Contains(theirs, c.ours) {
				t.Errorf("the SDK's: %s\nwant %s in it, and not %s", theirs, c.sdk, c.ours)
			}
		})
	}
}

func outcome(m kafkabinding.Message, err error) string {
	if err != nil {
		return "error"
	}
	return fmt.Sprintf("content type %s, key %q, null %t, value %s",
		headerOf(m, "content-type"), m.Key, m.Value == nil, m.Value)
}

func headerOf(m kafkabinding.Message, name string) string {
	for _, h := range m.Headers {
		if string(h.Key) == name {
			return string(h.Value)
		}
	}
	return ""
}
