package boot

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// functionURL has an http.Handler answer the requests to a function URL whose InvokeMode is BUFFERED, or those of an HTTP API
// with payloads of version 2.0, which are the same
// (https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html). aws-lambda-go's own adapter streams its answer: that works
// with RESPONSE_STREAM only and not with sam local, and its invocation goes on when it has returned, as chores must not.
type functionURL struct {
	handler http.Handler
	log     *slog.Logger
}

// urlRequest is the event.
type urlRequest struct {
	RawPath        string            `json:"rawPath"`
	RawQueryString string            `json:"rawQueryString"`
	Cookies        []string          `json:"cookies"`
	Headers        map[string]string `json:"headers"`
	Context        struct {
		DomainName string `json:"domainName"`
		HTTP       struct {
			Method   string `json:"method"`
			SourceIP string `json:"sourceIp"`
		} `json:"http"`
	} `json:"requestContext"`
	Body            string `json:"body"`
	IsBase64Encoded bool   `json:"isBase64Encoded"`
}

// urlAnswer is the answer.
type urlAnswer struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers,omitempty"`
	Cookies         []string          `json:"cookies,omitempty"`
	Body            string            `json:"body,omitempty"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// Invoke answers one request, and tells whether it may have changed something. An error means that the event is none.
func (u *functionURL) Invoke(ctx context.Context, payload []byte) (answer []byte, changes bool, err error) {
	var event urlRequest
	if err := json.Unmarshal(payload, &event, jsontext.AllowInvalidUTF8(true)); err != nil {
		return nil, false, fmt.Errorf("the event of a function URL: %w", withoutValue(err))
	}
	if event.Context.HTTP.Method == "" {
		return nil, false, errors.New("the event has no requestContext.http.method: this program answers to a function URL, " +
			"an HTTP API with payloads of version 2.0, or a schedule")
	}
	ctx, _, cancel := withMargin(ctx)
	defer cancel()
	r, err := event.request(ctx)
	if err != nil {
		return nil, false, err
	}
	w := &buffered{header: http.Header{}, head: r.Method == http.MethodHead}
	u.serve(w, r)
	answer, err = u.encode(ctx, w)
	return answer, !slices.Contains(safeMethods, r.Method), err
}

// safeMethods change nothing (RFC 9110, section 9.2.1).
var safeMethods = []string{http.MethodGet, http.MethodHead, http.MethodOptions}

// serve has the handler answer. One that cuts its answer off gets a 502 in its place: there is nothing to cut.
func (u *functionURL) serve(w *buffered, r *http.Request) {
	defer func() {
		if v := recover(); v != nil {
			*w = buffered{header: http.Header{}}
			writeProblem(w, http.StatusBadGateway, "The answer was cut off.")
		}
	}()
	u.handler.ServeHTTP(w, r)
}

// withoutValue is the error of a decoder without a value that it quotes: it may be a person's.
func withoutValue(err error) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("no request: %s is of another type", semantic.JSONPointer)
	}
	return errors.New("no JSON")
}

// request returns the event as a request.
func (e *urlRequest) request(ctx context.Context) (*http.Request, error) {
	body, err := e.body()
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: e.Context.HTTP.Method, URL: e.url(), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: e.header(),
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
		Host: e.Context.DomainName, RemoteAddr: net.JoinHostPort(e.Context.HTTP.SourceIP, "0"),
	}
	r.RequestURI = r.URL.RequestURI()
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
		r.Header.Del("Host")
	}
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	return r.WithContext(ctx), nil
}

func (e *urlRequest) body() ([]byte, error) {
	if !e.IsBase64Encoded {
		return []byte(e.Body), nil
	}
	body, err := base64.StdEncoding.DecodeString(e.Body)
	if err != nil {
		return nil, errors.New("the event of a function URL: its body is not base64, as isBase64Encoded says")
	}
	return body, nil
}

// url returns path and query. A path that is not well escaped is taken as it is.
func (e *urlRequest) url() *url.URL {
	u := &url.URL{Path: e.RawPath, RawQuery: e.RawQueryString}
	if path, err := url.PathUnescape(e.RawPath); err == nil {
		u.Path, u.RawPath = path, e.RawPath
	}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path, u.RawPath = "/"+u.Path, ""
	}
	return u
}

// header returns the headers. Cookies are a header and a list in the event of a function URL, a list in that of an HTTP API.
func (e *urlRequest) header() http.Header {
	header := make(http.Header, len(e.Headers))
	for name, value := range e.Headers {
		header.Set(name, value)
	}
	if len(e.Cookies) > 0 && header.Get("Cookie") == "" {
		header.Set("Cookie", strings.Join(e.Cookies, "; "))
	}
	return header
}

// maxURLAnswer is how large an answer may be, as JSON: Lambda takes 6 MB, and the client of its interface ends the process where it
// takes no more.
const maxURLAnswer = 6 << 20

// encode returns an answer as Lambda takes it.
func (u *functionURL) encode(ctx context.Context, w *buffered) ([]byte, error) {
	text, err := json.Marshal(w.answer())
	if err == nil && len(text) <= maxURLAnswer {
		return text, nil
	}
	u.log.ErrorContext(ctx, "an answer is too large for a function URL", "bytes", w.body.Len(), "limit", maxURLAnswer, "error", err)
	w = &buffered{header: http.Header{}}
	writeProblem(w, http.StatusInternalServerError, "The answer is too large.")
	return json.Marshal(w.answer())
}

// buffered is an http.ResponseWriter that keeps what is written.
type buffered struct {
	header http.Header
	// sent are the headers when the answer began: changes afterwards do not count.
	sent http.Header
	code int
	body bytes.Buffer
	// head says that the answer has no body, whatever is written.
	head bool
}

// Header implements [http.ResponseWriter].
func (w *buffered) Header() http.Header { return w.header }

// WriteHeader implements [http.ResponseWriter].
func (w *buffered) WriteHeader(code int) {
	if informational := code < http.StatusOK; informational || w.code != 0 {
		return
	}
	w.code, w.sent = code, w.header.Clone()
}

// Write implements [http.ResponseWriter]. As with net/http, a type that is not set is guessed from the first bytes.
func (w *buffered) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	if !hasBody(w.code) {
		return 0, http.ErrBodyNotAllowed
	}
	if _, set := w.sent["Content-Type"]; !set && w.sent.Get("Content-Encoding") == "" && len(p) > 0 {
		w.sent.Set("Content-Type", http.DetectContentType(p))
	}
	if w.head {
		return len(p), nil
	}
	return w.body.Write(p)
}

func hasBody(code int) bool { return code != http.StatusNoContent && code != http.StatusNotModified }

// answer returns what was written.
func (w *buffered) answer() urlAnswer {
	w.WriteHeader(http.StatusOK)
	a := urlAnswer{StatusCode: w.code, Headers: map[string]string{}, Cookies: w.sent["Set-Cookie"]}
	for name, values := range w.sent {
		if name != "Set-Cookie" {
			a.Headers[name] = strings.Join(values, ",")
		}
	}
	a.Body = w.body.String()
	if !utf8.ValidString(a.Body) {
		a.Body, a.IsBase64Encoded = base64.StdEncoding.EncodeToString(w.body.Bytes()), true
	}
	return a
}
