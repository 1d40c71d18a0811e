package runtimeapi

import (
	"sync"
	"time"
)

// Process is what a process is told of its function.
type Process struct {
	// Function, Version and Handler are told to extensions, ARN to each invocation.
	Function, Version, Handler, ARN string
	// Replaceable lets a new process take the place of the one before it at any time, for one that a developer starts by
	// hand. An invocation that the old one did not answer is then over without an answer.
	Replaceable bool
}

// state is what a process is doing. Its text is the one in AWS's error messages.
type state string

const (
	started    state = "Started"
	initFailed state = "InitError"
	ready      state = "Ready"
	running    state = "Running"
	responding state = "InvocationResponse"
	responded  state = "ResponseSent"
)

// Session is the conversation with one process. Its methods may be called concurrently.
type Session struct {
	server  *Server
	process Process
	key     string
	offered chan *Exchange
	ready   chan struct{}
	closed  chan struct{}

	mu        sync.Mutex
	state     state // empty means started
	polling   bool  // a call of next waits
	wasReady  bool
	over      bool
	current   *Exchange
	initDoc   *Answer
	extension string // identifier; empty unless registered
}

// Invocation is an event for the function.
type Invocation struct {
	// RequestID is unique, a UUID.
	RequestID string
	// TraceID is the X-Ray trace header, passed on as it is. Optional.
	TraceID string
	// Deadline is when the function has to be done.
	Deadline time.Time
	// Payload is the event as JSON.
	Payload []byte
}

// Answer is what a process said to an invocation, or of its own start.
type Answer struct {
	// Payload is the result, or the document of the error.
	Payload []byte
	// Failed tells whether the function failed, and ErrorType what it said of that beside the document.
	Failed    bool
	ErrorType string
}

// Exchange is an invocation under way.
type Exchange struct {
	Invocation

	session *Session
	done    chan struct{}

	// The rest is guarded by the session's lock.
	delivered bool
	over      bool
	answer    *Answer
}

// Address is the value of AWS_LAMBDA_RUNTIME_API for the process.
func (s *Session) Address() string { return s.server.addr + "/fn/" + s.key }

// Ready is closed when the process asks for its first invocation.
func (s *Session) Ready() <-chan struct{} { return s.ready }

// InitError is what the process said of the failure of its start, if it did.
func (s *Session) InitError() (Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.initDoc == nil {
		return Answer{}, false
	}
	return *s.initDoc, true
}

// Extension tells whether the process registered an extension, which is how it asks for SIGTERM before its end.
func (s *Session) Extension() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extension != ""
}

// Begin offers an invocation to the process, which takes it when it asks for the next one. The exchange before must be
// done or withdrawn.
func (s *Session) Begin(i Invocation) *Exchange {
	e := &Exchange{Invocation: i, session: s, done: make(chan struct{})}
	s.offered <- e
	return e
}

// Close ends the session: the process's calls are refused from now on. Calls after the first do nothing.
func (s *Session) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		return
	}
	s.over = true
	close(s.closed)
	s.server.forget(s.key)
}

// Done is closed when the process asks for the next invocation: only then it has finished this one.
func (e *Exchange) Done() <-chan struct{} { return e.done }

// Answer is what the process answered so far.
func (e *Exchange) Answer() (Answer, bool) {
	e.session.mu.Lock()
	defer e.session.mu.Unlock()
	if e.answer == nil {
		return Answer{}, false
	}
	return *e.answer, true
}

// Withdraw ends an exchange: an answer that comes later is refused. It tells whether the process had taken the
// invocation.
func (e *Exchange) Withdraw() (delivered bool) {
	s := e.session
	s.mu.Lock()
	defer s.mu.Unlock()
	e.over = true
	select {
	case <-s.offered: // e itself: there is one exchange at a time
	default:
	}
	return e.delivered
}
