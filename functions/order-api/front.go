package orderapi

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// The media types of bodies.
const (
	mediaJSON    = "application/json"
	mediaProblem = "application/problem+json"
)

// maxBody is how many bytes the body of a request may have.
const maxBody = 64 << 10

// front is what each request meets first. It gives the request its ids, and refuses what is no request to the API before
// anything is done: net/http would answer that in plain text, and huma takes a body of any type that looks like JSON, the
// first of two parameters, and learns after a change that nobody wants its answer.
type front struct{ mux *http.ServeMux }

// ServeHTTP implements [http.Handler].
func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := newCall(r)
	header := w.Header()
	header.Set(headerRequest, c.id)
	header.Set(headerCorrelation, c.correlation)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Cache-Control", "no-store")
	if p := f.refuse(w, r); p != nil {
		p.write(w, c)
		return
	}
	body, p := readBody(w, r)
	if p != nil {
		p.write(w, c)
		return
	}
	c.sum = fingerprintOf(r, body)
	inner := r.WithContext(c.in(r.Context()))
	inner.Body = io.NopCloser(bytes.NewReader(body))
	f.mux.ServeHTTP(w, inner)
}

// refuse returns why there is nothing for the request, nil where there is. It tells r which pattern it matches.
func (f *front) refuse(w http.ResponseWriter, r *http.Request) *problem {
	handler, pattern := f.mux.Handler(r)
	if pattern == "" {
		return nowhere(handler, w, r)
	}
	if path.Clean(r.URL.EscapedPath()) != r.URL.EscapedPath() {
		return problemOfPath() // where net/http would send the client to the clean path
	}
	r.Pattern = pattern
	if !isAPI(pattern) {
		return nil
	}
	if !accepts(r.Header.Values("Accept")) {
		return statusProblem(http.StatusNotAcceptable, "Answers are "+mediaJSON+", or "+mediaProblem+".")
	}
	if p := refuseURL(r.URL); p != nil {
		return p
	}
	return refuseHeaders(r.Header)
}

func problemOfPath() *problem {
	return statusProblem(http.StatusNotFound, "There is nothing at this path. "+pathDocs+" tells what there is.")
}

// nowhere returns why there is nothing for r: the handler of net/http knows whether it is the path or the method.
func nowhere(handler http.Handler, w http.ResponseWriter, r *http.Request) *problem {
	seen := &glance{header: http.Header{}}
	handler.ServeHTTP(seen, r)
	if seen.status != http.StatusMethodNotAllowed {
		return problemOfPath()
	}
	w.Header().Set("Allow", seen.header.Get("Allow"))
	return statusProblem(seen.status, "The Allow header has the methods that there are.")
}

// glance is an http.ResponseWriter that keeps an answer but for its body.
type glance struct {
	header http.Header
	status int
}

// Header implements [http.ResponseWriter].
func (g *glance) Header() http.Header { return g.header }

// Write implements [http.ResponseWriter].
func (g *glance) Write(body []byte) (int, error) { return len(body), nil }

// WriteHeader implements [http.ResponseWriter].
func (g *glance) WriteHeader(status int) { g.status = status }

// isAPI tells whether a pattern is that of an operation: its answers are JSON.
func isAPI(pattern string) bool {
	_, place, _ := strings.Cut(pattern, " ")
	return strings.HasPrefix(place, pathOrders) || strings.HasPrefix(place, pathCustomers)
}

// accepts tells whether the client takes JSON (RFC 9110 §12.5.1). Without an Accept header it takes everything.
func accepts(headers []string) bool {
	all := strings.Join(headers, ",")
	if strings.TrimSpace(all) == "" {
		return true
	}
	for element := range strings.SplitSeq(all, ",") {
		media, parameters, err := mime.ParseMediaType(element)
		weight, weighted := parameters["q"]
		if err != nil || weighted && strings.Trim(weight, "0.") == "" {
			continue
		}
		switch media {
		case "*/*", "application/*", mediaJSON, mediaProblem:
			return true
		}
	}
	return false
}

// refuseURL returns what in a URL huma would read as something else: an empty parameter as none, the first of two as all.
func refuseURL(u *url.URL) *problem {
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil || !utf8.ValidString(u.Path) {
		return unreadable.because("The URL has bad escapes, or is not UTF-8.")
	}
	for name, values := range query {
		if !utf8.ValidString(name) {
			return unreadable.because("The URL has bad escapes, or is not UTF-8.")
		}
		if len(values) != 1 || values[0] == "" {
			return invalid.because("A query parameter is not what it has to be.").
				at("query."+name, "expected one value, or no such parameter")
		}
	}
	return nil
}

// refuseHeaders does for headers what refuseURL does for URLs.
func refuseHeaders(header http.Header) *problem {
	for _, name := range []string{headerKey, headerIfMatch, headerCorrelation} {
		if values := header.Values(name); len(values) > 1 || len(values) == 1 && values[0] == "" {
			return invalid.because("A header is not what it has to be.").
				at("header."+name, "expected one value, or no such header")
		}
	}
	return nil
}

// readBody returns the body of a request that may have one.
func readBody(w http.ResponseWriter, r *http.Request) ([]byte, *problem) {
	if r.Method != http.MethodPost {
		return nil, nil
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, problemOfBody(err)
	}
	if len(body) > 0 && !isJSON(r.Header.Get("Content-Type")) {
		w.Header().Set("Accept", mediaJSON)
		return nil, statusProblem(http.StatusUnsupportedMediaType,
			"The body must be "+mediaJSON+" in UTF-8, and the Content-Type header say so.")
	}
	return body, nil
}

// problemOfBody says why a body could not be read.
func problemOfBody(err error) *problem {
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return statusProblem(http.StatusRequestEntityTooLarge,
			"The body is longer than 65536 bytes, or than the service is set to take.")
	}
	if late, ok := errors.AsType[net.Error](err); ok && late.Timeout() {
		return statusProblem(http.StatusRequestTimeout, "The body did not arrive in time.")
	}
	return unreadable.because("The body broke off.")
}

// isJSON tells whether a Content-Type is that of JSON in UTF-8.
func isJSON(contentType string) bool {
	media, parameters, err := mime.ParseMediaType(contentType)
	charset, named := parameters["charset"]
	return err == nil && media == mediaJSON && (!named || strings.EqualFold(charset, "utf-8"))
}

// write answers with the problem.
func (p *problem) write(w http.ResponseWriter, c call) {
	w.Header().Set("Content-Type", mediaProblem)
	w.WriteHeader(p.Status)
	// A client that went away has no need of the answer.
	_ = marshal(w, p.of(c))
}
