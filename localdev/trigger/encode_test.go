package trigger_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/template"
)

func TestEncode(t *testing.T) {
	t.Parallel()
	at := time.UnixMilli(1764000000000)
	got := trigger.Encode(template.Mapping{Source: template.SelfManaged, Topic: "orders"}, []string{"a:1", "b:2"},
		&kgo.Record{Topic: "orders", Partition: 3, Offset: 0, Timestamp: at, Key: []byte("k"), Value: []byte("v")},
		&kgo.Record{Topic: "orders", Partition: 3, Offset: 1, Timestamp: at, Headers: []kgo.RecordHeader{{Key: "h", Value: []byte{1, 255}}}},
	)
	want := `{"eventSource":"SelfManagedKafka","bootstrapServers":"a:1,b:2","records":{"orders-3":[` +
		`{"topic":"orders","partition":3,"offset":0,"timestamp":1764000000000,"timestampType":"CREATE_TIME","key":"aw==","value":"dg==","headers":[]},` +
		`{"topic":"orders","partition":3,"offset":1,"timestamp":1764000000000,"timestampType":"CREATE_TIME","headers":[{"h":[1,-1]}]}]}}`
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Error(diff)
	}
}
