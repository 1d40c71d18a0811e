package msktrigger

import "strconv"

// answer lists the records that are not finished, in the order of the batch, an offset once:
//
//	{"batchItemFailures":[{"itemIdentifier":{"partition":"order-events-0","offset":42}}]}
func (v *invocation) answer() []byte {
	answer := []byte(`{"batchItemFailures":[`)
	empty := len(answer)
	for _, p := range v.parts {
		last := int64(-1)
		for i := range p.deliveries {
			d := &p.deliveries[i]
			if d.finished.Load() || d.record.Offset == last {
				continue
			}
			last = d.record.Offset
			if len(answer) > empty {
				answer = append(answer, ',')
			}
			// The decoder lets no name through that would have to be escaped.
			answer = append(append(append(answer, `{"itemIdentifier":{"partition":"`...), p.Name...), `","offset":`...)
			answer = append(strconv.AppendInt(answer, last, 10), `}}`...)
		}
	}
	return append(answer, `]}`...)
}
