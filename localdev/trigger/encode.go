package trigger

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/trigger/template"
)

// Encode returns the event in which m would send records to its function. There is at least one, and all are of one
// partition. The event is not held to AWS's limits.
func Encode(m template.Mapping, brokers []string, records ...*kgo.Record) []byte {
	e := newEncoder(&m, brokers)
	from := &claim{partition: records[0].Partition}
	list := make([]*record, len(records))
	for i, r := range records {
		list[i] = &record{claim: from, offset: r.Offset, encoded: e.record(r)}
	}
	return e.event(list)
}
