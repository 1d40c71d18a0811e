package webhook

import (
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/millrace/millrace/runtime/function"
)

// The bounds of what a receiver may ask for with Retry-After.
const (
	minRetryAfter = time.Second
	maxRetryAfter = 5 * time.Minute
)

// outcomeOf turns an answer into what becomes of the event. The package comment has the table.
func outcomeOf(host string, answer *http.Response) error {
	code := answer.StatusCode
	err := fmt.Errorf("webhook %s answered %d", host, code)
	after, asked := retryAfter(answer.Header.Get("Retry-After"), time.Now())
	switch {
	case code >= 200 && code < 300:
		return nil
	case code == http.StatusTooManyRequests && asked:
		return function.RetryAfter(after, err)
	case code == http.StatusServiceUnavailable && asked:
		return function.Unavailable(Dependency, function.RetryAfter(after, err))
	case code == http.StatusBadGateway, code == http.StatusServiceUnavailable, code == http.StatusGatewayTimeout:
		return function.Unavailable(Dependency, err)
	case code >= 500, code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return err
	case code >= 300 && code < 400:
		return function.Permanent(fmt.Errorf("%w: redirects are not followed", err))
	}
	return function.Permanent(err)
}

// retryAfter reads a Retry-After header (RFC 9110 §10.2.3), seconds or a date, within the bounds.
func retryAfter(header string, now time.Time) (after time.Duration, ok bool) {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return bounded(time.Duration(seconds) * time.Second), true
	}
	if at, err := http.ParseTime(header); err == nil {
		return bounded(at.Sub(now)), true
	}
	return 0, false
}

func bounded(d time.Duration) time.Duration { return min(max(d, minRetryAfter), maxRetryAfter) }
