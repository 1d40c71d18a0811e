package kafkasink_test

import (
	"strconv"
	"testing"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// BenchmarkCommit measures transactions of one producer, each with the offsets of three partitions. The records are
// prepared before, as the workers of a function do it.
func BenchmarkCommit(b *testing.B) {
	for _, size := range []int{0, 1, 100, 1000, 4000} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			broker := runtimetest.Kafka(b, nil)
			topic, input := broker.NewTopic(b, 3), broker.NewTopic(b, 3)
			tr := openTransactor(b, broker, runtimetest.UniqueName(b), nil)
			records := prepare(b, tr, topic, 0, size)
			member := sarama.NewConsumerGroupMetadata(runtimetest.UniqueName(b))
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				offsets := make([]kafkasink.Offset, 3)
				for p := range offsets {
					offsets[p] = kafkasink.Offset{Topic: input, Partition: int32(p), Next: int64(i + 1), Metadata: strconv.Itoa(i)}
				}
				if err := tr.Commit(b.Context(), records, offsets, member); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N*size)/b.Elapsed().Seconds(), "records/s")
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/txn")
		})
	}
}
