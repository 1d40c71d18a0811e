package runtimeapi

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
)

// The headers of the API.
const (
	headerRequestID = "Lambda-Runtime-Aws-Request-Id"
	headerDeadline  = "Lambda-Runtime-Deadline-Ms"
	headerARN       = "Lambda-Runtime-Invoked-Function-Arn"
	headerTraceID   = "Lambda-Runtime-Trace-Id"
	headerErrorType = "Lambda-Runtime-Function-Error-Type"
	// trailerErrorBody comes, in base64, behind an answer whose writing failed midway; headerErrorType then does too.
	trailerErrorBody = "Lambda-Runtime-Function-Error-Body"
)

// TypeResponseTooLarge is the type of the error when an answer exceeds [MaxPayload].
const TypeResponseTooLarge = "Function.ResponseSizeTooLarge"

// invocationNext waits, for as long as it takes, for an invocation.
func (s *Session) invocationNext(w http.ResponseWriter, r *http.Request) {
	if from, ok := s.poll(); !ok {
		refuseTransition(w, from, ready)
		return
	}
	for {
		select {
		case e := <-s.offered:
			if !s.deliver(e) {
				continue
			}
			write(w, s.process.ARN, e)
			return
		case <-r.Context().Done():
			s.stopPolling()
			return
		case <-s.closed:
			refusef(w, http.StatusForbidden, "UnknownAddress", "the process is to end")
			return
		}
	}
}

// poll makes the process ready, which completes the invocation before. It tells from which state it did not.
func (s *Session) poll() (state, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch from := s.stateNow(); {
	case s.process.Replaceable, from == started, from == responded, from == ready && !s.polling:
	default:
		return from, false
	}
	if s.current != nil {
		close(s.current.done)
		s.current = nil
	}
	s.state, s.polling = ready, true
	if !s.wasReady {
		s.wasReady = true
		close(s.ready)
	}
	return ready, true
}

func (s *Session) stateNow() state {
	if s.state == "" {
		return started
	}
	return s.state
}

func (s *Session) stopPolling() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.polling = false
}

// deliver makes e the invocation that runs, unless nobody waits for it any more.
func (s *Session) deliver(e *Exchange) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.over {
		return false
	}
	e.delivered = true
	s.state, s.polling, s.current = running, false, e
	return true
}

func write(w http.ResponseWriter, arn string, e *Exchange) {
	h := w.Header()
	h.Set(headerRequestID, e.RequestID)
	h.Set(headerDeadline, strconv.FormatInt(e.Deadline.UnixMilli(), 10))
	h.Set(headerARN, arn)
	if e.TraceID != "" {
		h.Set(headerTraceID, e.TraceID)
	}
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(e.Payload)))
	_, _ = w.Write(e.Payload) // a process that is gone is noticed by its end
}

func (s *Session) invocationResponse(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, func(body []byte) Answer {
		// A function that streams its answer and fails midway says so at the end.
		if of := r.Trailer.Get(headerErrorType); of != "" {
			document, err := base64.StdEncoding.DecodeString(r.Trailer.Get(trailerErrorBody))
			if err != nil {
				document = nil
			}
			return Answer{Payload: document, Failed: true, ErrorType: of}
		}
		return Answer{Payload: body}
	})
}

func (s *Session) invocationError(w http.ResponseWriter, r *http.Request) {
	s.answer(w, r, func(body []byte) Answer {
		return Answer{Payload: body, Failed: true, ErrorType: r.Header.Get(headerErrorType)}
	})
}

// answer takes the body of a request as what the process has to say of the running invocation.
func (s *Session) answer(w http.ResponseWriter, r *http.Request, of func(body []byte) Answer) {
	e, from, ok := s.responds(r.PathValue("id"))
	switch {
	case e == nil:
		refusef(w, http.StatusBadRequest, "InvalidRequestID", "Invalid request ID")
		return
	case !ok:
		refuseTransition(w, from, responding)
		return
	}
	body, size, err := read(r.Body)
	switch {
	case err != nil:
		s.finish(e, running, nil)
		refusef(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
	case size > MaxPayload:
		s.finish(e, responded, &Answer{Payload: tooLarge(size), Failed: true, ErrorType: TypeResponseTooLarge})
		refusef(w, http.StatusRequestEntityTooLarge, "RequestEntityTooLarge", "Exceeded maximum allowed payload size (%d bytes).", MaxPayload)
	default:
		answer := of(body)
		s.finish(e, responded, &answer)
		accept(w)
	}
}

// responds finds the running invocation by its id, and marks that its answer is about to come, unless that is not the time
// for it.
func (s *Session) responds(id string) (*Exchange, state, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.current
	if e == nil || e.over || e.RequestID != id {
		return nil, s.state, false
	}
	if s.state != running {
		return e, s.state, false
	}
	s.state = responding
	return e, running, true
}

// finish says what the process does after an answer, which is nil where none came.
func (s *Session) finish(e *Exchange, to state, answer *Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != e {
		return
	}
	s.state = to
	if !e.over {
		e.answer = answer
	}
}

func (s *Session) initError(w http.ResponseWriter, r *http.Request) {
	body, size, err := read(r.Body)
	switch {
	case err != nil:
		refusef(w, http.StatusBadRequest, "TruncatedHTTPRequest", "HTTP request detected as truncated")
		return
	case size > MaxPayload:
		body = tooLarge(size)
	}
	if from, ok := s.failInit(Answer{Payload: body, Failed: true, ErrorType: r.Header.Get(headerErrorType)}); !ok {
		refuseTransition(w, from, initFailed)
		return
	}
	accept(w)
}

func (s *Session) failInit(a Answer) (state, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if from := s.stateNow(); from != started {
		return from, false
	}
	s.state, s.initDoc = initFailed, &a
	return initFailed, true
}

// read reads a body, of which it keeps no more than [MaxPayload] bytes, and tells how many there were.
func read(body io.Reader) (kept []byte, size int64, err error) {
	kept, err = io.ReadAll(io.LimitReader(body, MaxPayload))
	if err != nil {
		return nil, 0, err
	}
	rest, err := io.Copy(io.Discard, body)
	return kept, int64(len(kept)) + rest, err
}

func tooLarge(size int64) []byte {
	return fmt.Appendf(nil, `{"errorMessage":"Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes).","errorType":"%s"}`,
		size, MaxPayload, TypeResponseTooLarge)
}
