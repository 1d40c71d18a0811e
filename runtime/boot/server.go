//go:build !lambda.norpc

package boot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/millrace/millrace/runtime/telemetry"
)

const (
	// headerTimeout is how long the headers of a request may take to arrive.
	headerTimeout = 5 * time.Second
	// writeSpare is how much longer than a request may take its answer may.
	writeSpare = 10 * time.Second
	// idleTimeout is how long a connection waits for another request: longer than the minute of usual load balancers, which
	// would otherwise send one while it is being closed.
	idleTimeout = 2 * time.Minute
	// cutGrace is how long requests may take that are told, by the end of their contexts, that their time is over.
	cutGrace = time.Second
)

// AddressError says that a service cannot listen.
type AddressError struct {
	// Variable is what names the address: "API_ADDR".
	Variable string
	Addr     string
	Err      error
}

func (e *AddressError) Error() string {
	if errors.Is(e.Err, syscall.EADDRINUSE) {
		return fmt.Sprintf("%s: %s is in use by another process: choose another address: %v", e.Variable, e.Addr, e.Err)
	}
	return fmt.Sprintf("%s: cannot listen at %s: %v", e.Variable, e.Addr, e.Err)
}

// Unwrap returns the cause.
func (e *AddressError) Unwrap() error { return e.Err }

// apiServer answers the requests of a service.
type apiServer struct {
	service  string
	listener net.Listener
	server   *http.Server
	// cut ends the contexts of the requests that are being answered.
	cut context.CancelFunc
	log *slog.Logger
}

// listen opens the address of a service.
func listen(addr string, handler *answering) (*apiServer, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, &AddressError{Variable: "API_ADDR", Addr: addr, Err: err}
	}
	var outer http.Handler = handler
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		outer = telemetry.LocalHosts(handler)
	}
	base, cut := context.WithCancel(context.Background())
	s := &apiServer{service: handler.service, listener: listener, cut: cut, log: handler.log}
	s.server = &http.Server{
		Handler:           outer,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       headerTimeout + handler.limits.Timeout,
		WriteTimeout:      headerTimeout + handler.limits.Timeout + writeSpare,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    handler.limits.HeaderBytes,
		BaseContext:       func(net.Listener) context.Context { return base },
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return s, nil
}

// close frees the address where serve was not called.
func (s *apiServer) close() {
	s.cut()
	_ = s.listener.Close() // serve may have closed it
}

// serve answers requests until ctx ends. Those that are being answered then have so long.
func (s *apiServer) serve(ctx context.Context, drain time.Duration) error {
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("HTTP server of %s at %s: %w", s.service, s.listener.Addr(), err)
	case <-ctx.Done():
	}
	err := s.shutdown(ctx, drain)
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("HTTP server of %s at %s: %w", s.service, s.listener.Addr(), err)
	}
	return nil
}

func (s *apiServer) shutdown(ctx context.Context, drain time.Duration) error {
	err := s.shutdownWithin(ctx, drain)
	if !errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	s.log.Warn("requests are cut off: they were not answered within DRAIN_TIMEOUT", "program", s.service, "timeout", drain)
	s.cut()
	if err = s.shutdownWithin(ctx, cutGrace); errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	return err
}

func (s *apiServer) shutdownWithin(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	return s.server.Shutdown(ctx)
}
