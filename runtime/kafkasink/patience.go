package kafkasink

import (
	"context"
	"sync"
	"time"
)

// patience is how long a wait takes at least before it listens to its context. Hardly an acknowledgement takes as long, and
// to listen is dear: a context with a deadline sets up a timer for it.
const patience = 50 * time.Millisecond

// waiting is what a call waits for the cluster with: until its context ends, or deliveryTimeout is over.
type waiting struct {
	ctx   context.Context
	began time.Time
	// over is closed when it is time to listen to the context.
	over   <-chan struct{}
	cancel context.CancelFunc
}

// listen returns the context whose end is that of the wait.
func (w *waiting) listen() context.Context {
	if w.cancel == nil {
		w.ctx, w.cancel = context.WithDeadlineCause(w.ctx, w.began.Add(deliveryTimeout), errSlow)
	}
	return w.ctx
}

// end gives up what listening took.
func (w *waiting) end() {
	if w.cancel != nil {
		w.cancel()
	}
}

// impatience tells waits when their patience is over. It ticks while somebody waits, and each wait lasts for the rest of one
// tick and the whole of the next. Its methods may be called concurrently.
type impatience struct {
	mu          sync.Mutex
	next, after chan struct{}
	timer       *time.Timer
	// idle counts the ticks since somebody began to wait.
	idle int
}

// begin begins a wait. The caller ends it.
func (i *impatience) begin(ctx context.Context) waiting {
	w := waiting{ctx: ctx, began: time.Now(), over: closed}
	if deadline, ok := ctx.Deadline(); ctx.Err() == nil && (!ok || deadline.Sub(w.began) > 2*patience) {
		w.over = i.over()
	}
	return w
}

// closed is a channel that is.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// over returns a channel that is closed in patience to twice as long.
func (i *impatience) over() <-chan struct{} {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.idle = 0
	if i.timer == nil {
		i.next, i.after = make(chan struct{}), make(chan struct{})
		i.timer = time.AfterFunc(patience, i.tick)
	}
	return i.after
}

func (i *impatience) tick() {
	i.mu.Lock()
	defer i.mu.Unlock()
	close(i.next)
	i.next, i.after = i.after, make(chan struct{})
	if i.idle++; i.idle > 2 {
		i.timer = nil
		return
	}
	i.timer.Reset(patience)
}
