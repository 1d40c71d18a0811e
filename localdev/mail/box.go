package mail

import "sync"

// box keeps the last mails, bounded by number and bytes.
type box struct {
	maxMessages, maxBytes int

	mu       sync.Mutex
	messages []Message
	bytes    int
	received uint64
	changed  chan struct{} // closed and replaced with each mail
}

func (b *box) init(maxMessages, maxBytes int) {
	b.maxMessages, b.maxBytes = maxMessages, maxBytes
	b.changed = make(chan struct{})
}

// add numbers m and keeps it, at the cost of older ones.
func (b *box) add(m Message) Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.received++
	m.Number = b.received
	b.messages = append(b.messages, m)
	b.bytes += m.size()
	for len(b.messages) > 1 && (len(b.messages) > b.maxMessages || b.bytes > b.maxBytes) {
		b.bytes -= b.messages[0].size()
		b.messages[0] = Message{}
		b.messages = b.messages[1:]
	}
	close(b.changed)
	b.changed = make(chan struct{})
	return m
}

func (b *box) all() []Message {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Message(nil), b.messages...)
}

func (b *box) count() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.received
}

func (b *box) change() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}
