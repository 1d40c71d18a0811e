package telemetry

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	// firstExportWait is the pause before a request is repeated; it doubles.
	firstExportWait = 500 * time.Millisecond
	// exportRest is how long nothing is sent after a batch was lost: a collector that is away must not hold up each answer
	// of a Lambda function.
	exportRest = 10 * time.Second
	// exportFailureEvery is how often lost spans are told.
	exportFailureEvery = time.Minute
	// maxIdle is after how long a connection is made anew. What lies between may have forgotten it.
	maxIdle = time.Minute
	// maxExportAnswer bounds what is read of an answer, in bytes.
	maxExportAnswer = 64 << 10
)

// exporter sends spans to an OTLP/HTTP receiver, as JSON. It is a sdktrace.SpanExporter. Spans that cannot be delivered are
// lost, counted and told in the log: an error would only be printed by the SDK, to standard error.
type exporter struct {
	url     string
	header  http.Header
	timeout time.Duration
	gzip    bool
	client  *http.Client
	log     *slog.Logger

	// stopped ends what is being sent when the process does not wait any longer.
	stopped context.Context
	stop    context.CancelFunc

	mu sync.Mutex
	// resting is until when nothing is sent.
	resting time.Time
	// told is when lost spans were last told, lost how many have been since, cause why.
	told  time.Time
	lost  int
	cause error
	// used is when the connection was last used, by the wall clock: others may stand still while a process is frozen.
	used time.Time
}

// newExporter returns the exporter that c describes, where c is on.
func newExporter(c *TracingConfig, log *slog.Logger) (*exporter, error) {
	target, err := c.url()
	if err != nil {
		return nil, err
	}
	headers, err := c.headers()
	if err != nil {
		return nil, err
	}
	e := &exporter{url: target, header: http.Header{}, timeout: c.timeout(), gzip: c.gzip(), log: log}
	e.header.Set("Content-Type", "application/json")
	e.header.Set("User-Agent", "millrace-otlp")
	if e.gzip {
		e.header.Set("Content-Encoding", "gzip")
	}
	for name, value := range headers {
		e.header.Set(name, value)
	}
	e.client = &http.Client{
		Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 1, IdleConnTimeout: maxIdle, ForceAttemptHTTP2: true},
		// The headers, which may hold a token, are for this receiver alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	e.stopped, e.stop = context.WithCancel(context.Background())
	return e, nil
}

// ExportSpans sends spans. It returns nil: see exporter.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if len(spans) == 0 {
		return nil
	}
	if e.rests() {
		e.lose(len(spans), nil)
		return nil
	}
	body, err := e.encode(spans)
	if err == nil {
		e.thaw()
		err = e.send(ctx, body)
	}
	if refused, ok := errors.AsType[*rejectedError](err); ok {
		e.lose(refused.spans, err)
	} else if err != nil {
		e.rest()
		e.lose(len(spans), err)
	}
	return nil
}

// Shutdown closes the connections, and tells of the spans that were lost and not told of.
func (e *exporter) Shutdown(context.Context) error {
	e.client.CloseIdleConnections()
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lost > 0 {
		e.tell(e.cause)
	}
	return nil
}

func (e *exporter) rests() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return time.Now().Before(e.resting)
}

// thaw closes a connection that was not used for long.
func (e *exporter) thaw() {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now().Round(0)
	if now.Sub(e.used) > maxIdle {
		e.client.CloseIdleConnections()
	}
	e.used = now
}

func (e *exporter) rest() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.resting = time.Now().Add(exportRest)
}

// lose counts spans that are lost, and tells so once in a while. err is nil where nothing was tried.
func (e *exporter) lose(spans int, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lost += spans
	if err != nil {
		e.cause = err
	}
	if time.Since(e.told) >= exportFailureEvery {
		e.tell(e.cause)
	}
}

// tell writes that spans are lost. It is called with the lock held.
func (e *exporter) tell(err error) {
	e.log.LogAttrs(context.Background(), slog.LevelWarn, "spans are lost: they cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT",
		slog.Int("count", e.lost), slog.Any("error", err))
	e.told, e.lost = time.Now(), 0
}

func (e *exporter) encode(spans []sdktrace.ReadOnlySpan) ([]byte, error) {
	body, err := encodeSpans(spans)
	if err != nil || !e.gzip {
		return body, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(body); err != nil {
		return nil, err
	}
	err = w.Close()
	return b.Bytes(), err
}

// send posts body, again and again where the receiver says that this may help, for as long as the time-out allows.
func (e *exporter) send(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, e.timeout)
	defer cancel()
	defer context.AfterFunc(e.stopped, cancel)()
	for wait := firstExportWait; ; wait *= 2 {
		err := e.post(ctx, body)
		after, again := repeatable(err)
		if !again {
			return err
		}
		pause := max(wait/2+rand.N(wait), after)
		if deadline, _ := ctx.Deadline(); ctx.Err() != nil || time.Until(deadline) < pause {
			return err
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
}

// post sends one request.
func (e *exporter) post(ctx context.Context, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header = e.header.Clone()
	response, err := e.client.Do(request)
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err // without the URL, which may hold a secret
	}
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxExportAnswer))
	if response.StatusCode/100 != 2 {
		return &exportError{status: response.StatusCode, after: retryAfter(response.Header)}
	}
	if err != nil {
		return err
	}
	return rejected(answer)
}

// exportError is an answer other than 2xx.
type exportError struct {
	status int
	after  time.Duration
}

func (e *exportError) Error() string {
	return fmt.Sprintf("the receiver answers %d %s", e.status, http.StatusText(e.status))
}

// repeatable tells whether a request that came to err may succeed later, and when at the earliest (OTLP, "OTLP/HTTP
// Response" and "OTLP/HTTP Connection").
func repeatable(err error) (after time.Duration, again bool) {
	if err == nil {
		return 0, false
	}
	if _, answered := errors.AsType[*rejectedError](err); answered {
		return 0, false
	}
	refused, answered := errors.AsType[*exportError](err)
	if !answered {
		return 0, true
	}
	switch refused.status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return refused.after, true
	}
	return 0, false
}

// retryAfter reads how long the receiver wants to be left alone, in seconds or until a date.
func retryAfter(h http.Header) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(text); err == nil && seconds >= 0 && seconds < int(time.Hour/time.Second) {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return time.Until(at)
	}
	return 0
}

// rejectedError is an answer of 2xx that says that some spans were not taken. Sending them again would not help.
type rejectedError struct {
	spans   int
	message string
}

func (e *rejectedError) Error() string {
	return fmt.Sprintf("the receiver rejects %d spans: %s", e.spans, e.message)
}

// rejected reads an answer of 2xx. One that is no JSON says nothing: a receiver may answer in protobuf.
func rejected(answer []byte) error {
	var partial struct {
		PartialSuccess struct {
			// RejectedSpans is a number, or a string that holds one.
			RejectedSpans jsontext.Value `json:"rejectedSpans"`
			ErrorMessage  string         `json:"errorMessage"`
		} `json:"partialSuccess"`
	}
	_ = json.Unmarshal(answer, &partial)
	spans, _ := strconv.Atoi(strings.Trim(string(partial.PartialSuccess.RejectedSpans), `"`))
	if spans <= 0 {
		return nil
	}
	return &rejectedError{spans, partial.PartialSuccess.ErrorMessage}
}
