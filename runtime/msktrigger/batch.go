package msktrigger

import (
	"cmp"
	"slices"

	"github.com/millrace/millrace/runtime/pipeline"
)

// Batch is what an event of a Kafka trigger holds.
type Batch struct {
	// Partitions are in the order of topic and number, each name once.
	Partitions []Partition
}

// Partition is the part of a batch that comes from one partition.
type Partition struct {
	// Name is what the event calls the partition, and what the answer has to call it: topic, hyphen, number.
	Name   string
	Topic  string
	Number int32
	// Records are in the order of their offsets. There may be none.
	Records []Record
}

// Record is a record of a batch. Its bytes are its own, not the event's.
type Record struct {
	pipeline.Record

	// Err says why the record's key, value, headers or timestamp cannot be had; it is nil where they are there.
	Err error
}

// sort puts partitions and records in their order. Lists of the same name become one.
func (b *Batch) sort() {
	slices.SortStableFunc(b.Partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Number, b.Number))
	})
	joined := b.Partitions[:0]
	for _, p := range b.Partitions {
		if last := len(joined) - 1; last >= 0 && joined[last].Name == p.Name {
			joined[last].Records = append(joined[last].Records, p.Records...)
			continue
		}
		joined = append(joined, p)
	}
	b.Partitions = joined
	for i := range b.Partitions {
		b.Partitions[i].sort()
	}
}

func (p *Partition) sort() {
	for i := range p.Records[min(1, len(p.Records)):] {
		if p.Records[i+1].Offset < p.Records[i].Offset {
			slices.SortStableFunc(p.Records, func(a, b Record) int { return cmp.Compare(a.Offset, b.Offset) })
			return
		}
	}
}
