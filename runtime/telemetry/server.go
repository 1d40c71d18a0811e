package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"regexp"
	"sync"
	"syscall"
	"time"
)

// The limits of a Server. A scraper on the same network needs none of them.
const (
	headerTimeout   = 5 * time.Second
	readTimeout     = 10 * time.Second
	writeTimeout    = 30 * time.Second
	idleTimeout     = time.Minute
	shutdownTimeout = 3 * time.Second
	maxHeader       = 16 << 10
)

// Server serves a handler at Config.HTTPAddr. Make one with [NewServer].
type Server struct {
	// listener is nil when HTTP is switched off.
	listener net.Listener
	server   *http.Server
}

// NewServer listens at addr, which is Config.HTTPAddr: host:port, or empty or "off" for a Server that listens nowhere.
// The error of an address that cannot be listened at names HTTP_ADDR. Errors of connections go to log.
//
// On the loopback interface only requests to localhost, 127.0.0.1 and [::1] are answered, others with 421: a page on the
// web can make its own name point there (DNS rebinding).
func NewServer(addr string, handler http.Handler, log *slog.Logger) (*Server, error) {
	if !listens(addr) {
		return &Server{}, nil
	}
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, listenError(addr, err)
	}
	if tcp, ok := listener.Addr().(*net.TCPAddr); ok && tcp.IP.IsLoopback() {
		handler = LocalHosts(handler)
	}
	return &Server{listener: listener, server: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}}, nil
}

func listenError(addr string, err error) error {
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("HTTP_ADDR: %s is in use by another process: choose another address, or off: %w", addr, err)
	}
	return fmt.Errorf("HTTP_ADDR: cannot listen at %s: %w", addr, err)
}

// Addr returns the address that the server listens at, with the port that was found where it was 0; "" for nowhere.
func (s *Server) Addr() string {
	if s.listener == nil {
		return ""
	}
	return s.listener.Addr().String()
}

// Serve answers requests until ctx ends, then gives those that run 3 s and returns nil. It is called once. A Server that
// listens nowhere waits for ctx.
func (s *Server) Serve(ctx context.Context) error {
	if s.listener == nil {
		<-ctx.Done()
		return nil
	}
	served := make(chan error, 1)
	go func() { served <- s.server.Serve(s.listener) }()
	select {
	case err := <-served:
		return fmt.Errorf("HTTP server at %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
	defer cancel()
	err := s.server.Shutdown(patience)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.server.Close()
	}
	if ended := <-served; !errors.Is(ended, http.ErrServerClosed) {
		err = errors.Join(err, ended)
	}
	if err != nil {
		return fmt.Errorf("HTTP server at %s: %w", s.Addr(), err)
	}
	return nil
}

// localHost is compiled by the first request: few programs ever see one, and all start.
var localHost = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?$`)
})

// LocalHosts lets only requests to localhost, 127.0.0.1 or [::1], with or without a port, through to next. It answers
// others with 421 Misdirected Request.
func LocalHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !localHost().MatchString(r.Host) {
			http.Error(w, "this address answers to localhost, 127.0.0.1 and [::1] only", http.StatusMisdirectedRequest)
			return
		}
		next.ServeHTTP(w, r)
	})
}
