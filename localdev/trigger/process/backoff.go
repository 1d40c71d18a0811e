package process

import (
	"context"
	"time"
)

// The wait after a start that failed doubles with each, between these.
const (
	minStartWait = 100 * time.Millisecond
	maxStartWait = 10 * time.Second
)

// backoff tells when a process may be started: one whose start fails would else be started without end.
type backoff struct {
	wait time.Duration
	next time.Time
}

// failed puts the next start off. Starts that fail side by side count as one.
func (b *backoff) failed(now time.Time) {
	if now.Before(b.next) {
		return
	}
	b.wait = min(max(minStartWait, 2*b.wait), maxStartWait)
	b.next = now.Add(b.wait)
}

// awaitStart waits until a process may be started.
func (p *Pool) awaitStart(ctx context.Context) error {
	p.mu.Lock()
	wait := time.Until(p.starts.next)
	p.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return p.errEnded(ctx)
	case <-p.closing:
		return p.errClosed()
	}
}

func (p *Pool) startFailed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts.failed(time.Now())
}

func (p *Pool) startSucceeded() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.starts = backoff{}
}
