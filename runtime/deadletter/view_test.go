package deadletter_test

import (
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/deadletter"
)

func TestView(t *testing.T) {
	t.Parallel()
	l := parse(t, deadletter.Message(failure(message("order-1", `{"orderId":"order-1","amount":99.990}`)), service))
	got, err := json.Marshal(l, jsontext.WithIndent("  "))
	if err != nil {
		t.Fatal(err)
	}
	const want = `{
  "originalTopic": "order-events",
  "originalPartition": 2,
  "originalOffset": 1234,
  "failureReason": "database connection timeout",
  "retryCount": 3,
  "firstFailureTimestamp": "2023-12-01T11:00:00Z",
  "lastFailureTimestamp": "2023-12-01T11:00:01.5Z",
  "originalMessage": {
    "orderId": "order-1",
    "amount": 99.990
  },
  "stackTrace": "goroutine 1 [running]:",
  "serviceName": "notification-service",
  "serviceVersion": "1.2.3"
}`
	if string(got) != want {
		t.Errorf("got %s", got)
	}
}

func TestViewOfValues(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		value []byte
		want  string
	}{
		"null":           {nil, `null`},
		"empty":          {[]byte{}, `""`},
		"number":         {[]byte("12345678901234567890"), `12345678901234567890`},
		"text":           {[]byte("not \"JSON\"\n"), `"not \"JSON\"\n"`},
		"broken JSON":    {[]byte(`{"a":`), `"{\"a\":"`},
		"repeated names": {[]byte(`{"a":1,"a":2}`), `"{\"a\":1,\"a\":2}"`},
		"bytes":          {[]byte{0xff, 0x00}, `{"base64":"/wA="}`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := json.Marshal(deadletter.Letter{Original: kafkabinding.Message{Value: test.value}})
			if err != nil {
				t.Fatal(err)
			}
			var view struct {
				OriginalMessage       jsontext.Value `json:"originalMessage"`
				FirstFailureTimestamp *time.Time     `json:"firstFailureTimestamp"`
			}
			if err := json.Unmarshal(got, &view); err != nil {
				t.Fatal(err)
			}
			if string(view.OriginalMessage) != test.want || view.FirstFailureTimestamp != nil {
				t.Errorf("got %s", got)
			}
		})
	}
}
