package webhook

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/runtime/function"
)

// Dependency names the receiver in function.Unavailable.
const Dependency = "webhook"

// Options are what a Client can be told beside its address and keys. The zero value holds the defaults.
type Options struct {
	// AllowPrivate lets the client connect to private and loopback addresses. Link-local addresses, where clouds keep
	// their credentials, stay refused.
	AllowPrivate bool
	// Timeout is how long a request may take, with its answer. Default: 10 s.
	Timeout time.Duration
}

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 10 * time.Second

const (
	// maxIdle is how many unused connections are kept.
	maxIdle = 16
	// maxHeader bounds the header of an answer, in bytes.
	maxHeader = 64 << 10
	// maxBody is read so that the connection can be used again; nothing looks at it.
	maxBody = 4 << 10
)

// Client posts to one address. It may be used by many goroutines at once.
type Client struct {
	address Address
	keys    []Key
	http    *http.Client
}

// New returns a Client that posts to address and signs with each of keys: see [ParseAddress] and [ParseKeys].
func New(address Address, keys []Key, opts *Options) *Client {
	var o Options
	if opts != nil {
		o = *opts
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	dialer := &net.Dialer{Timeout: o.Timeout, Control: rulesFor(address, o.AllowPrivate).control}
	return &Client{address: address, keys: keys, http: &http.Client{
		Transport: &http.Transport{
			DialContext:            dialer.DialContext,
			TLSHandshakeTimeout:    o.Timeout,
			MaxResponseHeaderBytes: maxHeader,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       o.Timeout,
	}}
}

// Post sends body, a JSON text, once. id is the same for each repetition of a message, so that the receiver can tell;
// it must not contain a full stop (Standard Webhooks, "Signature scheme"). The errors name the receiver's host and never
// its answer.
func (c *Client) Post(ctx context.Context, id string, body []byte) error {
	var sent atomic.Bool
	trace := &httptrace.ClientTrace{WroteRequest: func(i httptrace.WroteRequestInfo) { sent.Store(i.Err == nil) }}
	request, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, c.address.target, bytes.NewReader(body))
	if err != nil {
		return function.Permanent(errors.New("webhook: the request cannot be made"))
	}
	c.sign(request.Header, id, time.Now(), body)
	answer, err := c.http.Do(request)
	if err != nil {
		return c.failure(ctx, err, sent.Load())
	}
	defer answer.Body.Close()
	_, _ = io.CopyN(io.Discard, answer.Body, maxBody)
	return outcomeOf(c.address.host, answer)
}

func (c *Client) sign(h http.Header, id string, at time.Time, body []byte) {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", "millrace")
	h.Set("Webhook-Id", id)
	h.Set("Webhook-Timestamp", strconv.FormatInt(at.Unix(), 10))
	h.Set("Webhook-Signature", Sign(c.keys, id, at, body))
}

// failure says what becomes of an event whose request got no answer. One that was sent may have had its effect, so its
// repetitions are counted.
func (c *Client) failure(ctx context.Context, err error, sent bool) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // Without the address, which may hold a token.
	}
	told := fmt.Errorf("webhook %s: %w", c.address.host, err)
	var refused *RefusedAddressError
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return fmt.Errorf("webhook %s: %w", c.address.host, ctx.Err())
	case errors.As(err, &refused):
		return function.Permanent(told)
	case sent:
		return told
	}
	return function.Unavailable(Dependency, told)
}
