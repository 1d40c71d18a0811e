package msktrigger

import (
	"context"
	"hash/maphash"
	"runtime/debug"
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
	trigger  *Trigger
	workshop *workshop
	// ctx is that of the handlers. It ends when no work is to be done any more: at the time closing, zero where there is no
	// deadline, or earlier.
	ctx     context.Context
	cancel  context.CancelFunc
	closing time.Time
	margin  time.Duration
	began   time.Time

	// unpacked is closed when the batch is read and its records are in their lanes. They are in parts then, or refused says why
	// there is none.
	unpacked chan struct{}
	parts    []part
	refused  error

	// open is how many records are neither finished nor given up; settled is closed when there is none.
	open    atomic.Int64
	settled chan struct{}
	// failure is the first error of the runtime itself.
	failure atomic.Pointer[InternalError]

	// halting says that there are lanes in halted.
	halting atomic.Bool
	mu      sync.Mutex
	// halted are the lanes in which a record was given up: what follows it is given up too.
	halted map[uint64]bool
}

// part is a partition with its records on their way.
type part struct {
	*Partition

	deliveries []delivery
}

// delivery is a record on its way. One worker at a time works on it.
type delivery struct {
	of     *invocation
	record *Record
	lane   uint64
	// waited is how long the record has waited for something that is down.
	waited time.Duration
	// opened is there from the first attempt to the last.
	opened *pipeline.Delivery
	// state is waiting, running or finished. All may read it.
	state atomic.Uint32
}

// The states of a delivery.
const (
	// waiting is that of a record that has not had its last attempt, or will have none in this invocation.
	waiting uint32 = iota
	// running is that of one whose attempt is being made.
	running
	// finished is that of one that needs no other.
	finished
)

// recycled are opened records for reuse. A worker mostly gets the one back that it used for the record before.
var recycled = sync.Pool{New: func() any { return &pipeline.Delivery{} }}

func newInvocation(ctx context.Context, t *Trigger, payload []byte) *invocation {
	v := &invocation{
		trigger: t, workshop: t.workshop(), margin: t.options.Margin, began: time.Now(),
		unpacked: make(chan struct{}), settled: make(chan struct{}),
	}
	if deadline, ok := ctx.Deadline(); ok {
		v.margin = min(v.margin, max(deadline.Sub(v.began), 0)/marginPart)
		v.closing = deadline.Add(-v.margin)
		v.ctx, v.cancel = context.WithDeadline(ctx, v.closing)
	} else {
		v.ctx, v.cancel = context.WithCancel(ctx)
	}
	v.workshop.lanes.Submit([]lanes.Item[work]{{Value: &parcel{v, payload}}})
	return v
}

// parcel is a batch that is not unpacked. It is work for a worker as its records are, so that these are mostly handled where they
// were read: another processor would have to fetch them.
type parcel struct {
	*invocation

	payload []byte
}

func (p *parcel) run() lanes.Result {
	deepen(0)
	defer close(p.unpacked)
	defer func() {
		if value := recover(); value != nil {
			p.failure.Store(&InternalError{Value: value, Stack: debug.Stack()})
			close(p.settled)
		}
	}()
	if p.refused = p.unpack(p.payload); p.refused != nil || p.open.Load() == 0 {
		close(p.settled)
		return lanes.Finished()
	}
	p.submit()
	return lanes.Finished()
}

// deepen gives the stack of a new worker the room that a record needs, while there is nothing on it. It would grow step by step, and
// each step copies what there is.
//
//go:noinline
func deepen(n int) byte {
	var room [6 << 10]byte
	return room[n]
}

// unpack reads the batch.
func (v *invocation) unpack(payload []byte) error {
	batch, err := decode(payload, &v.workshop.memory)
	if err == nil {
		err = v.trigger.check(batch)
	}
	if err != nil {
		return err
	}
	for i := range batch.Partitions {
		v.parts = append(v.parts, v.newPart(i, &batch.Partitions[i]))
	}
	return nil
}

// newPart returns the n-th partition of the batch.
func (v *invocation) newPart(n int, partition *Partition) part {
	p := part{Partition: partition, deliveries: v.workshop.deliveries.zeros(len(partition.Records), pieceRecords)}
	order := v.trigger.pipeline.Order(p.Topic)
	for i := range p.Records {
		d := &p.deliveries[i]
		d.of, d.record = v, &p.Records[i]
		d.lane = laneOf(order, n, i, d.record.Key)
	}
	v.open.Add(int64(len(p.deliveries)))
	return p
}

// laneOf returns the lane of the i-th record of the n-th partition. Records without a key share one, as do all where the
// partition's order is asked for. Lanes of different partitions differ, but for a chance of 1 in 2⁶⁴.
func laneOf(order function.Order, n, i int, key []byte) uint64 {
	spread := uint64(n) << 32 //nolint:gosec // not negative
	switch {
	case order == function.Unordered:
		return spread + uint64(i) //nolint:gosec // not negative
	case order == function.ByPartition || key == nil:
		return spread
	default:
		return spread + maphash.Bytes(keySeed, key)
	}
}

// wait waits until every record is finished or given up, or until the time is over.
func (v *invocation) wait() {
	select {
	case <-v.settled:
	case <-v.ctx.Done():
		<-v.unpacked // it does not take long, and nothing can be answered before
	}
}

// err says why the whole batch has to come again, if it has to.
func (v *invocation) err() error {
	if failure := v.failure.Load(); failure != nil {
		return failure
	}
	return v.refused
}

// submit queues the records in their lanes.
func (v *invocation) submit() {
	items := v.workshop.items[:0]
	for _, p := range v.parts {
		for i := range p.deliveries {
			items = append(items, lanes.Item[work]{Key: p.deliveries[i].lane, Value: &p.deliveries[i]})
		}
	}
	v.workshop.items = items
	v.workshop.lanes.Submit(items)
}

// close ends the work: no handler starts, the context of those that run ends, and they get half of the margin to return. One that
// does not is left behind.
func (v *invocation) close() {
	v.cancel()
	v.workshop.lanes.Close()
	// The context has ended: this does not wait. A timer is dear, and mostly nothing runs.
	if v.workshop.lanes.Wait(v.ctx) == nil {
		return
	}
	until := time.Now().Add(v.margin / 2)
	if latest := v.closing.Add(v.margin / 2); !v.closing.IsZero() && latest.Before(until) {
		until = latest
	}
	ctx, cancel := context.WithDeadline(context.WithoutCancel(v.ctx), until)
	defer cancel()
	if v.workshop.lanes.Wait(ctx) != nil {
		v.warn()
	}
}

// clean tells whether every record is finished, so that nobody holds any and no lane has any.
func (v *invocation) clean() bool {
	return v.open.Load() == 0 && !v.halting.Load() && v.err() == nil
}

// warn tells of handlers that are left behind.
func (v *invocation) warn() {
	for _, p := range v.parts {
		for i := range p.deliveries {
			if d := &p.deliveries[i]; d.state.Load() == running {
				v.trigger.options.Log.Warn("a handler was still running when the time of the invocation was over: its record is handed back",
					"topic", p.Topic, "partition", p.Number, "offset", d.record.Offset)
			}
		}
	}
}

// run runs one attempt.
func (d *delivery) run() lanes.Result { return d.of.handle(d) }

// handle runs one attempt, in a worker.
func (v *invocation) handle(d *delivery) (result lanes.Result) {
	defer func() {
		if value := recover(); value != nil {
			v.failure.CompareAndSwap(nil, &InternalError{Record: d.record.String(), Value: value, Stack: debug.Stack()})
			v.cancel()
			result = v.giveUp(d)
		}
	}()
	now := v.now()
	if !v.allows(now) || v.halts(d.lane) {
		return v.giveUp(d)
	}
	o := d.open(v.workshop.yield)
	o.Started = now
	failed := o.LastFailure
	d.state.Store(running)
	again, done := v.attempt(d, o)
	if done {
		d.release()
		d.state.Store(finished)
		v.settle()
		return lanes.Finished()
	}
	d.state.Store(waiting)
	if o.LastFailure.Equal(failed) {
		d.waited += again
	}
	if d.waited > v.trigger.options.Patience || !v.allows(v.now().Add(again)) {
		return v.giveUp(d)
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

// now returns the time. It asks one clock, where time.Now asks two.
func (v *invocation) now() time.Time { return v.began.Add(time.Since(v.began)) }

// allows tells whether a handler may start at a time.
func (v *invocation) allows(at time.Time) bool {
	return v.ctx.Err() == nil && (v.closing.IsZero() || at.Before(v.closing))
}

// giveUp leaves a record, and those that follow it in its lane, to another invocation.
func (v *invocation) giveUp(d *delivery) lanes.Result {
	v.halt(d.lane)
	v.settle()
	return lanes.Finished()
}

func (v *invocation) halt(lane uint64) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.halted == nil {
		v.halted = map[uint64]bool{}
		v.halting.Store(true)
	}
	v.halted[lane] = true
}

func (v *invocation) halts(lane uint64) bool {
	if !v.halting.Load() {
		return false
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.halted[lane]
}

// settle counts a record that nothing more is done for in this invocation.
func (v *invocation) settle() {
	if v.open.Add(-1) == 0 {
		close(v.settled)
	}
}

// open returns what the pipeline works on.
func (d *delivery) open(yield func() (resume func())) *pipeline.Delivery {
	if d.opened == nil {
		d.opened = recycled.Get().(*pipeline.Delivery)
		d.opened.Record, d.opened.Publishing = d.record.Record, yield
	}
	return d.opened
}

// release gives back what the attempts used. Nobody may hold it any more.
func (d *delivery) release() {
	*d.opened = pipeline.Delivery{}
	recycled.Put(d.opened)
	d.opened = nil
}
