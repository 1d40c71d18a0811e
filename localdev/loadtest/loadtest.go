package loadtest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"github.com/millrace/millrace/cloudevents/notification"
	"github.com/millrace/millrace/cloudevents/order"
	"github.com/millrace/millrace/localdev/records"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// The bounds of a load test.
const (
	MaxCount       = 1_000_000
	MaxBatch       = 10_000
	MaxConcurrency = 64
	MaxRate        = 10_000_000
	MaxCustomers   = 1_000_000_000
	MaxTimeout     = 24 * time.Hour
)

// Options of a load test. The zero value is the tutorial's: 10,000 orders in batches of 100, one after the other.
type Options struct {
	// Count is how many orders are sent, 1 to [MaxCount]. Default: 10000.
	Count int
	// Batch is how many orders are sent together, 1 to [MaxBatch]. Default: 100.
	Batch int
	// Rate bounds the orders per second. Default: as fast as the cluster takes them.
	Rate float64
	// Concurrency is how many batches may be on their way at once, 1 to [MaxConcurrency]. Default: 1.
	Concurrency int
	// Customers is among how many customers the orders are spread at random. Default: 1000.
	Customers int
	// Timeout is how long to wait for the functions after the last order was sent. Default: 60 s.
	Timeout time.Duration
	// NoWait leaves out the waiting for the functions.
	NoWait bool
	// Progress is called, by one goroutine at a time, with the number of orders sent. Default: nobody is told.
	Progress func(sent int)
	// Waiting is called when the orders are sent and the functions are waited for.
	Waiting func(r Result)
}

func (o *Options) complete() (Options, error) {
	var c Options
	if o != nil {
		c = *o
	}
	setDefault(&c.Count, 10_000)
	setDefault(&c.Batch, 100)
	setDefault(&c.Concurrency, 1)
	setDefault(&c.Customers, 1000)
	setDefault(&c.Timeout, time.Minute)
	if c.Progress == nil {
		c.Progress = func(int) {}
	}
	if c.Waiting == nil {
		c.Waiting = func(Result) {}
	}
	return c, errors.Join(
		within("count", c.Count, 1, MaxCount),
		within("batch", c.Batch, 1, MaxBatch),
		within("concurrency", c.Concurrency, 1, MaxConcurrency),
		within("customers", c.Customers, 1, MaxCustomers),
		within("rate", c.Rate, 0, MaxRate),
		within("timeout", c.Timeout, time.Millisecond, MaxTimeout),
	)
}

func setDefault[T int | time.Duration](value *T, def T) {
	if *value == 0 {
		*value = def
	}
}

func within[T int | float64 | time.Duration](name string, value, low, high T) error {
	if value >= low && value <= high {
		return nil
	}
	return fmt.Errorf("%s is %v, must be %v to %v", name, value, low, high)
}

// Validate returns every setting that is out of bounds. A zero stands for its default and is valid.
func (o *Options) Validate() error {
	_, err := o.complete()
	return err
}

// Run sends the orders and waits for the functions. With an error the result says how far it came. Notifications that are
// missing are no error: they are in the result.
func Run(ctx context.Context, config kafkaclient.Config, o *Options) (Result, error) {
	options, err := o.complete()
	if err != nil {
		return Result{}, err
	}
	client, err := records.Connect(ctx, config)
	if err != nil {
		return Result{}, err
	}
	defer client.Close()
	if err := client.CheckTopic(ctx, order.Topic); err != nil {
		return Result{}, err
	}
	t := &test{Options: options, client: client, run: uuid.NewString()[:8], answers: newAnswers(options.Count)}
	if options.NoWait {
		err := t.send(ctx)
		return t.result(), err
	}
	return t.sendAndWait(ctx)
}

// test is one run.
type test struct {
	Options
	client  *records.Client
	run     string // tells the orders of this run from those of others
	answers *answers
	sent    atomic.Int64
	took    time.Duration
}

func (t *test) result() Result {
	r := Result{Run: t.run, Sent: int(t.sent.Load()), Took: t.took}
	if !t.NoWait {
		t.answers.report(&r)
	}
	return r
}

// sendAndWait listens from before the first order is sent.
func (t *test) sendAndWait(ctx context.Context) (Result, error) {
	reader, err := t.client.Read(ctx, notification.Topic, 0)
	if err != nil {
		return Result{Run: t.run}, err
	}
	listening, stop := context.WithCancel(ctx)
	defer stop()
	heard := make(chan error, 1)
	go func() { heard <- t.listen(listening, reader) }()
	if err := t.send(ctx); err != nil {
		stop()
		return t.result(), cmp.Or(err, <-heard)
	}
	t.Waiting(t.result())
	timeUp := time.AfterFunc(t.Timeout, stop)
	defer timeUp.Stop()
	if err := <-heard; ctx.Err() != nil || !errors.Is(err, context.Canceled) {
		return t.result(), err
	}
	return t.result(), nil // the time is up; what is missing is in the result
}

// listen reads notifications until each order has one, and then what else had been written by that moment: a duplicate
// may be among it.
func (t *test) listen(ctx context.Context, reader *records.Reader) error {
	marked := false
	for {
		notifications, err := reader.Next(ctx)
		if err != nil {
			return err
		}
		now := time.Now()
		for i := range notifications {
			t.answers.take(&notifications[i], now)
		}
		if !marked && t.answers.complete() {
			if err := reader.Mark(ctx); err != nil {
				return err
			}
			marked = true
		}
		if marked && reader.CaughtUp() {
			return nil
		}
	}
}
