package kafkasink

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/function"
)

// probeInterval is the least time between two questions to a cluster that did not answer.
const probeInterval = time.Second

// health knows whether the cluster answers.
type health struct {
	client sarama.Client
	// down is the topic of the record that the cluster did not take, nil while it answers.
	down atomic.Pointer[string]

	mu     sync.Mutex
	asked  time.Time
	busy   bool
	closed bool
	probes sync.WaitGroup
}

// observe takes note of the outcome of publishing to topic.
func (h *health) observe(topic string, err error) {
	if _, unavailable := errors.AsType[*function.UnavailableError](err); unavailable {
		failed := topic // topic itself would be allocated in each call
		h.down.Store(&failed)
		return
	}
	if h.down.Load() != nil {
		h.down.Store(nil)
	}
}

// connected tells whether the cluster answers, and has it asked where it did not.
func (h *health) connected() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	topic := h.down.Load()
	if topic == nil || h.closed {
		return !h.closed
	}
	if !h.busy && time.Since(h.asked) >= probeInterval {
		h.busy = true
		h.probes.Go(func() { h.ask(*topic) })
	}
	return false
}

// ask refreshes what is known about topic.
func (h *health) ask(topic string) {
	err := h.client.RefreshMetadata(topic)
	if err == nil || !isUnavailable(err) {
		h.down.Store(nil)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.busy, h.asked = false, time.Now()
}

// close ends the questions.
func (h *health) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.probes.Wait()
}
