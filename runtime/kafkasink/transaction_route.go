package kafkasink

import (
	"github.com/IBM/sarama"
)

// queue are the records of a transaction for one partition.
type queue struct {
	topicPartition
	// records are the indices of those that are not published yet.
	records []int
	// limit bounds the records of a batch.
	limit int
}

// route finds each record's partition. The queues keep the order of the records.
func (t *Transactor) route(tx *transaction) ([]*queue, error) {
	var queues []*queue
	topics := map[string]*destination{}
	failed := map[string]error{}
	for i := range tx.records {
		p := &tx.records[i]
		d := topics[p.topic]
		if d == nil {
			d = &destination{client: t.client, partitioner: t.partitioner(p.topic), topic: p.topic, queues: map[int32]*queue{}}
			topics[p.topic] = d
		}
		q, err := d.queueOf(p)
		if err != nil {
			failed[p.topic] = err
			continue
		}
		if len(q.records) == 0 {
			queues = append(queues, q)
		}
		q.records = append(q.records, i)
	}
	if len(failed) > 0 {
		return nil, t.failTopics(tx, failed)
	}
	return queues, nil
}

func (t *Transactor) partitioner(topic string) sarama.Partitioner {
	if t.partitioners[topic] == nil {
		t.partitioners[topic] = newPartitioner(topic)
	}
	return t.partitioners[topic]
}

// destination is a topic that a transaction writes to.
type destination struct {
	client      sarama.Client
	partitioner sarama.Partitioner
	topic       string
	queues      map[int32]*queue
	// all and writable are its partitions, nil until they are needed.
	all, writable []int32
	err           error
	// keyed is the record that the partitioner is shown, and key its key.
	keyed sarama.ProducerMessage
	key   encoded
}

// queueOf returns the queue of p's partition: that of its key, or a random one that has a leader.
func (d *destination) queueOf(p *Prepared) (*queue, error) {
	partitions, err := d.partitions(p.message.Key != nil)
	if err != nil {
		return nil, err
	}
	d.key, d.keyed.Key = p.message.Key, nil
	if p.message.Key != nil {
		d.keyed.Key = &d.key
	}
	choice, err := d.partitioner.Partition(&d.keyed, int32(len(partitions))) //nolint:gosec // a topic has fewer partitions
	if err != nil {
		return nil, err
	}
	partition := partitions[choice]
	if d.queues[partition] == nil {
		d.queues[partition] = &queue{topicPartition: topicPartition{d.topic, partition}, limit: maxBatchRecords}
	}
	return d.queues[partition], nil
}

// partitions returns those that a record with or without a key may go to.
func (d *destination) partitions(keyed bool) ([]int32, error) {
	known, find := &d.writable, d.client.WritablePartitions
	if keyed {
		known, find = &d.all, d.client.Partitions
	}
	if *known == nil && d.err == nil {
		*known, d.err = find(d.topic)
		if d.err == nil && len(*known) == 0 {
			d.err = sarama.ErrLeaderNotAvailable
		}
	}
	return *known, d.err
}
