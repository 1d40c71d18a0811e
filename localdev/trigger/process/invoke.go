package process

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
)

// Invoke hands an event, as JSON, to a process and waits for what becomes of it. It waits for a free process first, and
// after a failed start until it is time for the next.
//
// The error is nil whatever the function does: that is in the result. It is a [*PayloadTooLargeError], [ErrClosed], or
// the cause of ctx's end. If ctx ends while the function works, its process is killed, for nothing else stops it.
func (p *Pool) Invoke(ctx context.Context, payload []byte) (Result, error) {
	if len(payload) > runtimeapi.MaxPayload {
		return Result{}, &PayloadTooLargeError{Function: p.function.Name, Size: len(payload)}
	}
	if err := p.enter(ctx); err != nil {
		return Result{}, err
	}
	defer p.leave()
	id := uuid.NewString()
	for {
		w, init, err := p.take(ctx, id)
		if failed, ok := errors.AsType[*FunctionError](err); ok {
			return Result{RequestID: id, Payload: failed.document(), Error: failed, Init: init}, nil
		}
		if err != nil {
			return Result{}, err
		}
		result, taken, err := p.serve(ctx, w, id, payload, init)
		if err != nil || taken {
			return result, err
		}
	}
}

// take returns an idle process, or starts one and tells how long that took.
func (p *Pool) take(ctx context.Context, id string) (*worker, time.Duration, error) {
	for w := p.newestIdle(); w != nil; w = p.newestIdle() {
		if w.thaw() {
			return w, 0, nil
		}
	}
	if err := p.awaitStart(ctx); err != nil {
		return nil, 0, err
	}
	begin := time.Now()
	w, err := p.start()
	if err != nil {
		// Lambda's words for a binary that cannot be executed.
		err = p.initFailed(0, time.Since(begin), platformError(TypeInvalidEntrypoint, id, err.Error()))
		return nil, time.Since(begin), err
	}
	failed, err := p.awaitReady(ctx, w, id)
	took := time.Since(begin)
	switch {
	case err != nil:
		p.discard(w)
		return nil, took, err
	case failed != nil:
		p.discard(w)
		failed.Log = w.output.last()
		return nil, took, p.initFailed(w.pid(), took, failed)
	}
	p.startSucceeded()
	return w, took, nil
}

// awaitReady waits until a process asks for its first invocation.
func (p *Pool) awaitReady(ctx context.Context, w *worker, id string) (*FunctionError, error) {
	timer := time.NewTimer(p.options.InitTimeout)
	defer timer.Stop()
	select {
	case <-w.session.Ready():
		return nil, nil
	case <-w.exited:
		if said, ok := w.session.InitError(); ok {
			return functionError(said), nil
		}
		return platformError(TypeExit, id, w.reason), nil
	case <-timer.C:
		return platformError(TypeTimeout, id, fmt.Sprintf("Init timed out after %.2f seconds", p.options.InitTimeout.Seconds())), nil
	case <-ctx.Done():
		return nil, p.errEnded(ctx)
	case <-p.closing:
		return nil, p.errClosed()
	}
}

// initFailed tells of a start that failed, and returns why.
func (p *Pool) initFailed(pid int, took time.Duration, failed *FunctionError) error {
	p.startFailed()
	p.options.Events(Event{Kind: KindInit, Time: time.Now(), Function: p.function.Name, PID: pid, Init: took, Error: failed})
	return failed
}

// end is why a wait for an answer is over.
type end int

const (
	endDone end = iota
	endExited
	endTimeout
	endGivenUp
	endClosed
)

// serve lets w do an invocation. It tells whether the process took it: one that was killed while it was idle does not.
func (p *Pool) serve(ctx context.Context, w *worker, id string, payload []byte, init time.Duration) (r Result, taken bool, err error) {
	begin := time.Now()
	exchange := w.session.Begin(runtimeapi.Invocation{
		RequestID: id, TraceID: traceID(begin), Deadline: begin.Add(p.function.Timeout), Payload: payload,
	})
	p.options.Events(Event{Kind: KindStart, Time: begin, Function: p.function.Name, PID: w.pid(), RequestID: id})
	how := p.await(ctx, w, exchange)
	taken = exchange.Withdraw()
	answer, answered := exchange.Answer()
	r = Result{RequestID: id, Payload: answer.Payload, Duration: time.Since(begin), Init: init}
	if how == endDone {
		defer p.release(w) // when all is told: the next invocation may begin at once
	} else {
		p.discard(w)
	}
	switch {
	case answered && answer.Failed:
		r.Error = functionError(answer)
	case answered:
	case how == endExited && !taken:
		return Result{}, false, nil
	case how == endGivenUp:
		return Result{}, taken, p.errEnded(ctx)
	case how == endClosed:
		return Result{}, taken, p.errClosed()
	default:
		r.Error = p.platformFailure(how, w, id)
		r.Payload = r.Error.document()
	}
	if r.Error != nil && how != endDone {
		r.Error.Log = w.lastLines()
	}
	p.report(w, r)
	return r, true, nil
}

// await waits until the process is done with an invocation, or something keeps it from that.
func (p *Pool) await(ctx context.Context, w *worker, e *runtimeapi.Exchange) end {
	timer := time.NewTimer(p.function.Timeout)
	defer timer.Stop()
	select {
	case <-e.Done():
		return endDone
	case <-w.exited:
		return endExited
	case <-timer.C:
		return endTimeout
	case <-ctx.Done():
		return endGivenUp
	case <-p.closing:
		return endClosed
	}
}

// platformFailure is the error of an invocation that the function did not answer.
func (p *Pool) platformFailure(how end, w *worker, id string) *FunctionError {
	switch {
	case how == endTimeout:
		return platformError(TypeTimeout, id, fmt.Sprintf("Task timed out after %.2f seconds", p.function.Timeout.Seconds()))
	case w.byHand():
		return platformError(TypeExit, id, exitedSilently) // another process took its place
	default:
		return platformError(TypeExit, id, w.reason)
	}
}

func (p *Pool) report(w *worker, r Result) {
	e := Event{Kind: KindEnd, Time: time.Now(), Function: p.function.Name, PID: w.pid(), RequestID: r.RequestID}
	p.options.Events(e)
	e.Kind, e.Duration, e.Init, e.Billed = KindReport, r.Duration, r.Init, billed(r.Duration+r.Init)
	e.MemoryMB, e.Error = p.function.MemoryMB, r.Error
	p.options.Events(e)
}

// document is the error as Lambda answers it.
func (e *FunctionError) document() []byte {
	document, _ := json.Marshal(struct { // text is all that can fail, and it may be any
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}{e.Type, e.Message}, jsontext.AllowInvalidUTF8(true))
	return document
}

func platformError(of, id, message string) *FunctionError {
	return &FunctionError{Type: of, Message: fmt.Sprintf("RequestId: %s Error: %s", id, message)}
}

// functionError is what a function says of its own failure.
func functionError(a runtimeapi.Answer) *FunctionError {
	var document struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(a.Payload, &document); err != nil {
		document.Message = "the function's account of its error is not an error document"
	}
	of := document.Type
	if of == "" {
		of = a.ErrorType
	}
	if of == "" {
		of = TypeUnknown
	}
	return &FunctionError{Type: of, Message: document.Message}
}

// traceID is a trace header of X-Ray that says not to sample.
func traceID(now time.Time) string {
	var random [20]byte
	_, _ = rand.Read(random[:]) // never fails
	return fmt.Sprintf("Root=1-%08x-%x;Parent=%x;Sampled=0", now.Unix(), random[:12], random[12:])
}
