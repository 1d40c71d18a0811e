package loadtest

import (
	"context"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/records"
)

// progressEvery is how many orders lie between two calls of Progress.
const progressEvery = 1000

// send publishes all orders, at most Concurrency batches at once, each no sooner than the rate allows.
func (t *test) send(ctx context.Context) error {
	begin := time.Now()
	defer func() { t.took = time.Since(begin) }()
	var told sync.Mutex
	batches, sending := errgroup.WithContext(ctx)
	batches.SetLimit(t.Concurrency)
	for first := 0; first < t.Count && t.due(sending, begin, first) == nil; first += t.Batch {
		batches.Go(func() error {
			n, err := t.sendBatch(sending, first, min(first+t.Batch, t.Count))
			told.Lock()
			defer told.Unlock()
			if sent := int(t.sent.Add(int64(n))); sent/progressEvery > (sent-n)/progressEvery {
				t.Progress(sent - sent%progressEvery)
			}
			return err
		})
	}
	if err := batches.Wait(); err != nil {
		return fmt.Errorf("after %d of %d orders: %w", t.sent.Load(), t.Count, err)
	}
	return ctx.Err()
}

// due waits until it is the turn of the i-th order.
func (t *test) due(ctx context.Context, begin time.Time, i int) error {
	if t.Rate <= 0 {
		return ctx.Err()
	}
	turn := begin.Add(time.Duration(float64(i) / t.Rate * float64(time.Second)))
	timer := time.NewTimer(time.Until(turn))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// sendBatch publishes the orders from first to before end and returns how many of them were acknowledged.
func (t *test) sendBatch(ctx context.Context, first, end int) (int, error) {
	ids := make([]string, 0, end-first)
	outs := make([]records.Out, 0, end-first)
	for i := first; i < end; i++ {
		id, m, err := newOrder(t.run, i, t.Customers, time.Now())
		if err != nil {
			return 0, err
		}
		ids = append(ids, id)
		outs = append(outs, records.Out{Topic: order.Topic, Message: m})
	}
	t.answers.expect(ids, time.Now())
	sent := 0
	var failed error
	for _, w := range t.client.Write(ctx, outs...) {
		if w.Err != nil {
			failed = w.Err
			continue
		}
		sent++
	}
	return sent, failed
}
