// Package runtimeapi serves the Lambda Runtime API, version 2018-06-01, and as much of the Extensions API as a function
// needs to be told of its end by SIGTERM. One [Server] is there for all functions: each process has a [Session] with an
// address of its own, which nobody can guess, so that it takes no invocation that is not for it.
//
// Status codes and error documents are those of AWS's own emulator (aws-lambda-runtime-interface-emulator), for clients
// end their process when they meet another one.
//
// It imports no other package of millrace.
package runtimeapi

import (
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// MaxPayload is the most bytes of an event and of an answer: 6 MiB and a little.
const MaxPayload = 6*1024*1024 + 100

// maxHeader leaves room for Lambda-Runtime-Function-Xray-Error-Cause, of up to a mebibyte.
const maxHeader = 2 << 20

// Server serves the API on a free port of 127.0.0.1. Its methods may be called concurrently.
type Server struct {
	addr     string
	http     *http.Server
	served   chan struct{} // closed when the server has ended
	handlers sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	sessions map[string]*Session
}

// Start starts a server.
func Start() (*Server, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening for the Lambda Runtime API: %w", err)
	}
	s := &Server{addr: listener.Addr().String(), served: make(chan struct{}), sessions: map[string]*Session{}}
	s.http = &http.Server{Handler: s.routes(), ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: maxHeader}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // its end is Close
	}()
	return s, nil
}

// Addr is where the server listens, "127.0.0.1:1234".
func (s *Server) Addr() string { return s.addr }

// Open begins a session. After Close it is a session that no process can reach.
func (s *Server) Open(p Process) *Session {
	session := &Session{
		server: s, process: p, key: rand.Text(),
		offered: make(chan *Exchange, 1), ready: make(chan struct{}), closed: make(chan struct{}),
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.closed {
		s.sessions[session.key] = session
	}
	return session
}

// Close ends all sessions and waits until nothing is left of the server. Calls after the first wait too.
func (s *Server) Close() error {
	s.mu.Lock()
	s.closed = true
	var open []*Session
	for _, session := range s.sessions {
		open = append(open, session)
	}
	s.mu.Unlock()
	for _, session := range open {
		session.Close()
	}
	err := s.http.Close()
	<-s.served
	s.handlers.Wait()
	return err
}

func (s *Server) routes() http.Handler {
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(*Session, http.ResponseWriter, *http.Request){
		"GET /fn/{key}/2018-06-01/runtime/invocation/next":           (*Session).invocationNext,
		"POST /fn/{key}/2018-06-01/runtime/invocation/{id}/response": (*Session).invocationResponse,
		"POST /fn/{key}/2018-06-01/runtime/invocation/{id}/error":    (*Session).invocationError,
		"POST /fn/{key}/2018-06-01/runtime/init/error":               (*Session).initError,
		"POST /fn/{key}/2020-01-01/extension/register":               (*Session).register,
		"GET /fn/{key}/2020-01-01/extension/event/next":              (*Session).extensionNext,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if session := s.session(r.PathValue("key")); session != nil {
				handle(session, w, r)
				return
			}
			refusef(w, http.StatusForbidden, "UnknownAddress", "no running process has this address")
		})
	}
	return s.local(mux)
}

// local answers only to the server's own name: a page on the web can make another name lead here.
func (s *Server) local(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !s.enter() {
			refusef(w, http.StatusServiceUnavailable, "InternalServerError", "the server is closed")
			return
		}
		defer s.handlers.Done()
		if r.Host != s.addr {
			refusef(w, http.StatusForbidden, "UnknownHost", "the address is %s", s.addr)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// enter counts a request, unless the server is closed.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.handlers.Add(1)
	return true
}

func (s *Server) session(key string) *Session {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sessions[key]
}

func (s *Server) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.sessions, key)
}
