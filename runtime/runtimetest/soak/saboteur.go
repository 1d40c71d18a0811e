//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest/faultproxy"
	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

const (
	// aimTimeout is how long a fault waits for handlers to run.
	aimTimeout = 10 * time.Second
	// takeTimeout is how long a fault waits for a request to hold.
	takeTimeout = 6 * time.Second
	// lateDelay slows the member down that a request of is late, so that it arrives while the next transaction is open.
	lateDelay = 40 * time.Millisecond
	// deliverTimeout is how long a late request may take to be answered.
	deliverTimeout = 5 * time.Second
	// mendTimeout is how long a member may take to commit again after a commit of its that came late.
	mendTimeout = 5 * time.Second
)

// saboteur does what a schedule asks for, and writes down what it did.
type saboteur struct {
	// ctx ends with the time for faults: those that last are ended then.
	ctx     context.Context
	cluster *cluster
	fleet   *fleet

	mu   sync.Mutex
	done []history.Fault
}

// outcome is what came of a fault.
type outcome = history.Fault

// run does the faults of a schedule until the saboteur's context ends.
func (s *saboteur) run(schedule *schedule) error {
	if len(schedule.kinds) == 0 {
		return nil
	}
	for {
		next := schedule.next()
		if !s.sleep(next.pause) {
			return nil
		}
		f, err := next.kind.do(s, next)
		if err != nil {
			return fmt.Errorf("%s: %w", next.kind.name, err)
		}
		f.Kind = next.kind.name
		s.mu.Lock()
		s.done = append(s.done, f)
		s.mu.Unlock()
	}
}

// faults returns what was done until now.
func (s *saboteur) faults() []history.Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]history.Fault(nil), s.done...)
}

// sleep tells whether there is still time for faults after d.
func (s *saboteur) sleep(d time.Duration) bool {
	select {
	case <-time.After(d):
		return s.ctx.Err() == nil
	case <-s.ctx.Done():
		return false
	}
}

// target takes hold of a member in which a handler runs: the step's, if it can, and that one anyway when none does. The
// caller must let go of it.
func (s *saboteur) target(st step) (*member, *process, func()) {
	for deadline := time.Now().Add(aimTimeout); time.Now().Before(deadline) && s.sleep(2*time.Millisecond); {
		for i := range memberCount {
			m := s.fleet.members[(st.member+i)%memberCount]
			if !m.fault.TryLock() {
				continue
			}
			if p := m.process(); p.busy() {
				return m, p, m.fault.Unlock
			}
			m.fault.Unlock()
		}
	}
	m := s.fleet.members[st.member]
	m.fault.Lock()
	return m, m.process(), m.fault.Unlock
}

// kill ends a member at once.
func (s *saboteur) kill(st step) (outcome, error) { return s.end(st, syscall.SIGKILL) }

// terminate ends a member in good order.
func (s *saboteur) terminate(st step) (outcome, error) { return s.end(st, syscall.SIGTERM) }

func (s *saboteur) end(st step, signal syscall.Signal) (outcome, error) {
	m, p, release := s.target(st)
	defer release()
	f := outcome{Process: p.name, From: monotonic()}
	p.end(signal)
	s.sleep(st.lasts)
	f.Until = monotonic()
	return f, m.start()
}

// pause stops a member for longer than its session lasts.
func (s *saboteur) pause(st step) (outcome, error) {
	_, p, release := s.target(st)
	defer release()
	f := outcome{Process: p.name, From: monotonic(), Silences: true, Stops: true}
	p.signal(syscall.SIGSTOP)
	s.sleep(st.lasts)
	f.Until = monotonic()
	p.signal(syscall.SIGCONT)
	return f, nil
}

// wire takes hold of the connections of the step's member.
func (s *saboteur) wire(st step) (*faultproxy.Proxy, *process, func()) {
	m, p, release := s.target(st)
	return s.cluster.proxies[m.number-1], p, release
}

// affected is the name of the process that a fault of its connections concerns: all, where they share a proxy.
func (s *saboteur) affected(p *process) string {
	if s.cluster.apache == nil {
		return ""
	}
	return p.name
}

// cut closes a member's connections.
func (s *saboteur) cut(st step) (outcome, error) {
	proxy, p, release := s.wire(st)
	defer release()
	f := outcome{Process: s.affected(p), From: monotonic()}
	f.Missed = proxy.Cut() == 0
	f.Until = monotonic()
	return f, nil
}

// slow delays a member's requests.
func (s *saboteur) slow(st step) (outcome, error) {
	proxy, p, release := s.wire(st)
	defer release()
	f := outcome{Process: s.affected(p), From: monotonic()}
	proxy.Delay(st.delay)
	s.sleep(st.lasts)
	proxy.Delay(0)
	f.Until = monotonic()
	return f, nil
}

// halfOpen keeps a member's connections open and carries nothing.
func (s *saboteur) halfOpen(st step) (outcome, error) {
	proxy, p, release := s.wire(st)
	defer release()
	f := outcome{Process: s.affected(p), From: monotonic()}
	restore := proxy.HalfOpen()
	s.sleep(st.lasts)
	restore()
	f.Until = monotonic()
	return f, nil
}

// isolate is halfOpen for so long that the member loses its session.
func (s *saboteur) isolate(st step) (outcome, error) {
	f, err := s.halfOpen(st)
	f.Silences = true
	return f, err
}

// late is the kind that holds a request of a member and delivers it when the member goes on without.
func late(name string, apiKey int16) kind {
	return kind{"late " + name, 2 * time.Second, 5 * time.Second, func(s *saboteur, st step) (outcome, error) {
		proxy, p, release := s.wire(st)
		defer release()
		held := proxy.Hold(faultproxy.Keys(apiKey))
		select {
		case <-held.Taken():
		case <-time.After(takeTimeout):
		case <-s.ctx.Done():
		}
		f := outcome{Process: s.affected(p), From: monotonic()}
		proxy.Delay(lateDelay)
		defer proxy.Delay(0)
		s.sleep(st.lasts)
		ctx, cancel := context.WithTimeout(context.WithoutCancel(s.ctx), deliverTimeout)
		defer cancel()
		f.Delivered = held.Release(ctx) == nil
		f.Missed = !f.Delivered
		f.Until = monotonic()
		if f.Delivered && apiKey == offsetCommit {
			s.mend(proxy)
		}
		return f, nil
	}}
}

// mend waits until a member has committed again after an old commit of its came late. No generation and no epoch tells the
// coordinator that it is old. The member writes its position anew every COMMIT_INTERVAL while one may be on its way; if it
// was killed before that, attempts that only later commits tell of would not be counted (runtime/DESIGN.md, What a commit says).
func (s *saboteur) mend(proxy *faultproxy.Proxy) {
	select {
	case <-proxy.Answered(faultproxy.Keys(offsetCommit)):
	case <-time.After(mendTimeout):
	case <-s.ctx.Done():
	}
}

// restartBroker is what the kinds do that end the broker by a signal.
func restartBroker(signal syscall.Signal) func(*saboteur, step) (outcome, error) {
	return func(s *saboteur, st step) (outcome, error) {
		_, _, release := s.target(st)
		f := outcome{From: monotonic(), Silences: true}
		release()
		err := s.cluster.apache.Stop(signal)
		s.sleep(st.lasts)
		err = errors.Join(err, s.cluster.apache.Restart(context.WithoutCancel(s.ctx)))
		f.Until = monotonic()
		return f, err
	}
}
