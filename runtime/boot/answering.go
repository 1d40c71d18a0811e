package boot

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/runtime/telemetry"
)

// activity counts what is not a record's.
type activity interface {
	ChoreRan(r telemetry.ChoreRun)
	ChoreMeasured(s telemetry.ChoreState)
	Answering(service string) (done func())
	Answered(r telemetry.Request)
}

// answering is a service's handler with what the runtime puts around it, behind either door: time and size of a request are
// limited, writes from pages of other sites are refused, a panic is a 500, and each request is counted and has a span.
type answering struct {
	service string
	next    http.Handler
	limits  serving
	tracing *telemetry.Tracing
	counts  activity
	log     *slog.Logger
}

// answering returns what answers the requests of a service.
func (p *process) answering(s service) *answering {
	// A browser says where a request comes from, by Sec-Fetch-Site or Origin. Other clients do not, and are let through.
	sameSite := http.NewCrossOriginProtection()
	sameSite.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeProblem(w, http.StatusForbidden, "A page of another site must not change anything here.")
	}))
	return &answering{
		service: s.name, next: sameSite.Handler(s.handler), limits: p.settings.serving, tracing: p.tracing, counts: p.counts, log: p.log,
	}
}

// ServeHTTP answers a request.
func (a *answering) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	defer a.counts.Answering(a.service)()
	started := time.Now()
	ctx, cancel := context.WithTimeout(r.Context(), a.limits.Timeout)
	defer cancel()
	ctx, end := a.tracing.StartRequest(ctx, r)
	// A copy of the request: ServeMux notes the pattern that matched in it.
	r = r.WithContext(ctx)
	r.Body = http.MaxBytesReader(w, r.Body, a.limits.BodyBytes)
	out := &recorder{ResponseWriter: w}
	defer func() {
		aborts := a.recover(ctx, out, r, recover())
		done := telemetry.Request{Service: a.service, Method: r.Method, Pattern: r.Pattern, Code: out.status(), Took: time.Since(started)}
		end(done)
		a.counts.Answered(done)
		a.tell(ctx, &done)
		if aborts {
			panic(http.ErrAbortHandler)
		}
	}()
	a.next.ServeHTTP(out, r)
}

// recover answers 500 in place of a handler that panicked with v. It tells whether that was too late, or what panicked wants
// the answer to be cut off.
func (a *answering) recover(ctx context.Context, out *recorder, r *http.Request, v any) (aborts bool) {
	if v == nil {
		return false
	}
	if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
		stack := debug.Stack()
		a.log.ErrorContext(ctx, "a request's handler panicked", "program", a.service, "method", r.Method, "route", r.Pattern,
			"panic", v, "stack", string(stack[:min(len(stack), stackLimit)]))
		if out.code == 0 {
			writeProblem(out, http.StatusInternalServerError, "The request could not be answered.")
			return false
		}
	}
	// The client sees the answer end early; what was sent of it cannot be taken back.
	out.code = http.StatusInternalServerError
	return true
}

// tell writes a line: for an error of the service as a warning, for others at debug, and for those that nobody waited for.
func (a *answering) tell(ctx context.Context, done *telemetry.Request) {
	level := slog.LevelDebug
	if gone := errors.Is(ctx.Err(), context.Canceled); done.Code >= http.StatusInternalServerError && !gone {
		level = slog.LevelWarn
	}
	if a.log.Enabled(ctx, level) {
		a.log.LogAttrs(ctx, level, "answered", slog.String("program", a.service), slog.String("method", done.MethodName()),
			slog.String("route", done.Route()), slog.Int("code", done.Code), slog.Duration("took", done.Took))
	}
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter

	// code is 0 until the answer begins.
	code int
}

// WriteHeader implements [http.ResponseWriter].
func (w *recorder) WriteHeader(code int) {
	if informational := code < http.StatusOK && code != http.StatusSwitchingProtocols; w.code == 0 && !informational {
		w.code = code
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements [http.ResponseWriter].
func (w *recorder) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.code = http.StatusOK
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap is for [http.ResponseController].
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// status is that of the answer; one that was left empty is a 200.
func (w *recorder) status() int {
	if w.code == 0 {
		return http.StatusOK
	}
	return w.code
}

// problemDetails is what an answer says that the runtime gives (RFC 9457).
type problemDetails struct {
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
}

func writeProblem(w http.ResponseWriter, code int, detail string) {
	h := w.Header()
	clear(h)
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	// A client that went away is no concern of the process.
	_ = json.MarshalWrite(w, problemDetails{http.StatusText(code), code, detail})
}
