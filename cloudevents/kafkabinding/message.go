package kafkabinding

// Header is one header of a Kafka record. Kafka keeps headers as a list: names may repeat, their order counts, and a
// value may be null (nil) or empty (non-nil, length 0).
type Header struct {
	Key   []byte
	Value []byte
}

// Message is the part of a Kafka record that the CloudEvents Kafka binding speaks about. A nil Key or Value is null, a
// non-nil one of length 0 is empty.
type Message struct {
	Key     []byte
	Value   []byte
	Headers []Header
}
