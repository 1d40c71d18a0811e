package msktrigger

import (
	"context"
	"hash/maphash"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/lanes"
	"github.com/millrace/millrace/runtime/pipeline"
)

// keySeed makes lane keys: they mean nothing outside of the process.
var keySeed = maphash.MakeSeed()

// invocation is the work on one batch.
type invocation struct {
	trigger *Trigger
	pool    *lanes.Pool
	parts   []*part

	// ctx is that of the handlers. It ends when no work is to be done any more: at the time closing, zero where there is no
	// deadline, or earlier.
	ctx     context.Context
	cancel  context.CancelFunc
	closing time.Time
	margin  time.Duration

	// open is how many records are neither finished nor given up; settled is closed when there is none.
	open    atomic.Int64
	settled chan struct{}
	// failure is the first error of the runtime itself.
	failure atomic.Pointer[InternalError]
}

// part is the work on one partition.
type part struct {
	*Partition

	lanes      *lanes.Lanes[*delivery]
	deliveries []delivery

	mu sync.Mutex
	// halted are the lanes in which a record was given up: what follows it is given up too.
	halted map[uint64]bool
}

// delivery is a record on its way. One worker at a time works on it, but for finished.
type delivery struct {
	record *Record
	lane   uint64
	// waited is how long the record has waited for something that is down.
	waited time.Duration
	// opened is there from the first attempt to the last.
	opened   *pipeline.Delivery
	finished atomic.Bool
}

// recycled are opened records for reuse. A worker mostly gets the one back that it used for the record before.
var recycled = sync.Pool{New: func() any { return &pipeline.Delivery{} }}

func newInvocation(ctx context.Context, t *Trigger, b *Batch) *invocation {
	v := &invocation{trigger: t, pool: lanes.NewPool(t.options.Workers), margin: t.options.Margin, settled: make(chan struct{})}
	if deadline, ok := ctx.Deadline(); ok {
		v.margin = min(v.margin, max(time.Until(deadline), 0)/marginPart)
		v.closing = deadline.Add(-v.margin)
		v.ctx, v.cancel = context.WithDeadline(ctx, v.closing)
	} else {
		v.ctx, v.cancel = context.WithCancel(ctx)
	}
	for i := range b.Partitions {
		v.parts = append(v.parts, v.newPart(&b.Partitions[i]))
	}
	return v
}

func (v *invocation) newPart(partition *Partition) *part {
	p := &part{Partition: partition, deliveries: make([]delivery, len(partition.Records))}
	p.lanes = lanes.New(v.pool, func(d *delivery) lanes.Result { return v.handle(p, d) }, nil)
	order := v.trigger.pipeline.Order(p.Topic)
	for i := range p.Records {
		d := &p.deliveries[i]
		d.record = &p.Records[i]
		d.lane = laneOf(order, i, d.record.Key)
	}
	v.open.Add(int64(len(p.deliveries)))
	return p
}

// laneOf returns the lane of the i-th record of a partition. Records without a key share one, as do all where the partition's
// order is asked for.
func laneOf(order function.Order, i int, key []byte) uint64 {
	switch {
	case order == function.Unordered:
		return uint64(i) //nolint:gosec // not negative
	case order == function.ByPartition || key == nil:
		return 0
	default:
		return maphash.Bytes(keySeed, key)
	}
}

// run works until every record is finished or given up, or until the time is over.
func (v *invocation) run() error {
	defer v.cancel()
	if v.open.Load() == 0 {
		return nil
	}
	for _, p := range v.parts {
		p.submit()
	}
	select {
	case <-v.settled:
	case <-v.ctx.Done():
	}
	v.close()
	if failure := v.failure.Load(); failure != nil {
		return failure
	}
	return nil
}

// submit queues the records in their lanes.
func (p *part) submit() {
	items := make([]lanes.Item[*delivery], len(p.deliveries))
	for i := range p.deliveries {
		items[i] = lanes.Item[*delivery]{Key: p.deliveries[i].lane, Value: &p.deliveries[i]}
	}
	p.lanes.Submit(items)
}

// close ends the work: no handler starts, the context of those that run ends, and they get half of the margin to return. One that
// does not is left behind.
func (v *invocation) close() {
	v.cancel()
	running := slices.DeleteFunc(slices.Clone(v.parts), func(p *part) bool {
		p.lanes.Close()
		// The context has ended: this does not wait.
		return p.lanes.Wait(v.ctx) == nil
	})
	if len(running) == 0 {
		return
	}
	until := time.Now().Add(v.margin / 2)
	if latest := v.closing.Add(v.margin / 2); !v.closing.IsZero() && latest.Before(until) {
		until = latest
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(v.ctx), until)
	defer cancel()
	for _, p := range running {
		if p.lanes.Wait(ctx) != nil {
			v.trigger.options.Log.Warn("handlers were still running when the time of the invocation was over: their records are handed back",
				"topic", p.Topic, "partition", p.Number)
		}
	}
}

// handle runs one attempt, in a worker.
func (v *invocation) handle(p *part, d *delivery) (result lanes.Result) {
	defer func() {
		if value := recover(); value != nil {
			v.failure.CompareAndSwap(nil, &InternalError{Record: d.record.String(), Value: value, Stack: debug.Stack()})
			v.cancel()
			result = v.giveUp(p, d)
		}
	}()
	now := time.Now()
	if !v.allows(now) || p.halts(d.lane) {
		return v.giveUp(p, d)
	}
	o := d.open(v.pool)
	o.Started = now
	failed := o.LastFailure
	again, finished := v.attempt(d, o)
	if finished {
		d.release()
		d.finished.Store(true)
		v.settle()
		return lanes.Finished()
	}
	if o.LastFailure.Equal(failed) {
		d.waited += again
	}
	if d.waited > v.trigger.options.Patience || !v.allows(time.Now().Add(again)) {
		return v.giveUp(p, d)
	}
	return lanes.Again(again)
}

// attempt handles the record; of one that cannot be read it makes the dead letter.
func (v *invocation) attempt(d *delivery, o *pipeline.Delivery) (again time.Duration, finished bool) {
	if d.record.Err == nil {
		return v.trigger.pipeline.Handle(v.ctx, o)
	}
	return v.trigger.pipeline.Lose(v.ctx, o, o.Offset, &function.PermanentError{Class: function.ClassUndecodable, Err: d.record.Err})
}

// allows tells whether a handler may start at a time.
func (v *invocation) allows(at time.Time) bool {
	return v.ctx.Err() == nil && (v.closing.IsZero() || at.Before(v.closing))
}

// giveUp leaves a record, and those that follow it in its lane, to another invocation.
func (v *invocation) giveUp(p *part, d *delivery) lanes.Result {
	p.halt(d.lane)
	v.settle()
	return lanes.Finished()
}

func (p *part) halt(lane uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.halted == nil {
		p.halted = map[uint64]bool{}
	}
	p.halted[lane] = true
}

func (p *part) halts(lane uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.halted[lane]
}

// settle counts a record that nothing more is done for in this invocation.
func (v *invocation) settle() {
	if v.open.Add(-1) == 0 {
		close(v.settled)
	}
}

// open returns what the pipeline works on.
func (d *delivery) open(pool *lanes.Pool) *pipeline.Delivery {
	if d.opened == nil {
		d.opened = recycled.Get().(*pipeline.Delivery)
		d.opened.Record, d.opened.Publishing = d.record.Record, pool.Yield
	}
	return d.opened
}

// release gives back what the attempts used. Nobody may hold it any more.
func (d *delivery) release() {
	*d.opened = pipeline.Delivery{}
	recycled.Put(d.opened)
	d.opened = nil
}
