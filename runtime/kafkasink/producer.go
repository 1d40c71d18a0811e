package kafkasink

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkaclient"
)

// producer is sarama's, with its two streams of outcomes turned into calls.
type producer struct {
	client  sarama.Client
	async   sarama.AsyncProducer
	drained sync.WaitGroup

	// gate is held for reading while a record is handed over: sarama closes its input when it ends.
	gate   sync.RWMutex
	closed bool
}

// acknowledged is how many records may be acknowledged and not settled yet. sarama hands them over one by one, and sends
// nothing meanwhile: who takes them must not do more than that.
const acknowledged = 1024

// errCut says that the cluster did not answer in time when the sink was closed.
var errCut = fmt.Errorf("kafkasink: closed with records on their way that were not acknowledged within %s", closeTimeout)

// settle is told the outcome of each record. It is called from two goroutines.
type settle func(m *sarama.ProducerMessage, err error)

// open connects a producer with the settings that configure makes.
func open(c kafkaclient.Config, clientID string, configure func(*sarama.Config) error, settle settle) (*producer, error) {
	conf, err := c.Sarama(clientID)
	if err != nil {
		return nil, err
	}
	if err := configure(conf); err != nil {
		return nil, err
	}
	client, err := c.Connect(conf)
	if err != nil {
		return nil, err
	}
	async, err := sarama.NewAsyncProducerFromClient(client)
	if err != nil {
		return nil, errors.Join(kafkaclient.Explain(err, c.Brokers), client.Close())
	}
	p := &producer{client: client, async: async}
	published := make(chan *sarama.ProducerMessage, acknowledged)
	p.drained.Go(func() {
		defer close(published)
		for m := range async.Successes() {
			published <- m
		}
	})
	p.drained.Go(func() {
		for m := range published {
			settle(m, nil)
		}
	})
	p.drained.Go(func() {
		for e := range async.Errors() {
			settle(e.Msg, e.Err)
		}
	})
	return p, nil
}

// enqueue hands m over. It blocks while the buffers are full.
func (p *producer) enqueue(w *waiting, m *sarama.ProducerMessage) error {
	p.gate.RLock()
	defer p.gate.RUnlock()
	if p.closed {
		return ErrClosed
	}
	select {
	case p.async.Input() <- m:
		return nil
	case <-w.over:
	}
	select {
	case p.async.Input() <- m:
		return nil
	case <-w.listen().Done():
		return context.Cause(w.ctx)
	}
}

// close ends p when every record that was handed over is settled. After closeTimeout it returns errCut and cuts the
// connections: the rest is settled as failed when sarama's time-outs have passed.
func (p *producer) close() error {
	p.gate.Lock()
	p.closed = true
	p.gate.Unlock()
	p.async.AsyncClose()
	ended := make(chan error, 1)
	go func() {
		p.drained.Wait()
		ended <- p.client.Close()
	}()
	select {
	case err := <-ended:
		return err
	case <-time.After(closeTimeout):
		go p.client.Close()
		return errCut
	}
}

// lazyProducer is a producer that few programs need: it is opened when it is used.
type lazyProducer struct {
	open func() (*producer, error)

	mu     sync.Mutex
	opened *producer
	closed bool
}

// enqueue is [producer.enqueue].
func (l *lazyProducer) enqueue(w *waiting, m *sarama.ProducerMessage) error {
	p, err := l.producer()
	if err != nil {
		return err
	}
	return p.enqueue(w, m)
}

func (l *lazyProducer) producer() (*producer, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	if l.opened != nil {
		return l.opened, nil
	}
	var err error
	l.opened, err = l.open()
	return l.opened, err
}

// close is [producer.close].
func (l *lazyProducer) close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if l.opened == nil {
		return nil
	}
	return l.opened.close()
}
