package msktrigger

import "strconv"

// answer lists the records that are not finished, in the order of the batch:
//
//	{"batchItemFailures":[{"itemIdentifier":{"partition":"order-events-0","offset":42}}]}
func (v *invocation) answer() []byte {
	answer, comma := []byte(`{"batchItemFailures":[`), ""
	for i := range v.parts {
		p := &v.parts[i]
		offsets := p.unfinished()
		for _, offset := range offsets {
			answer = append(append(answer, comma...), `{"itemIdentifier":{"partition":"`...)
			// The decoder lets no name through that would have to be escaped.
			answer = append(append(answer, p.Name...), `","offset":`...)
			answer = append(strconv.AppendInt(answer, offset, 10), `}}`...)
			comma = ","
		}
		if len(offsets) > 0 {
			v.trigger.options.Log.Info("records are handed back: Lambda sends them again",
				"topic", p.Topic, "partition", p.Number, "offset", offsets[0], "records", len(offsets), "of", len(p.Records))
		}
	}
	return append(answer, `]}`...)
}

// unfinished returns the offsets of the records that are not finished, each once.
func (p *part) unfinished() []int64 {
	var offsets []int64
	for i := range p.deliveries {
		offset := p.deliveries[i].record.Offset
		if p.deliveries[i].state.Load() == finished || len(offsets) > 0 && offsets[len(offsets)-1] == offset {
			continue
		}
		offsets = append(offsets, offset)
	}
	return offsets
}
