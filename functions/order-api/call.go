package orderapi

import (
	"context"
	"crypto/sha256"
	"net/http"
	"regexp"

	"github.com/google/uuid"
)

// The headers that tell requests and what follows from them apart.
const (
	headerRequest     = "X-Request-ID"
	headerCorrelation = "X-Correlation-ID"
)

// call is what is known of a request beside its parameters.
type call struct {
	// id is the request's own: the causationid of events that follow from it.
	id string
	// correlation names the flow that the request belongs to.
	correlation string
	// sum is that of method, path and body.
	sum fingerprint
}

// fingerprint tells requests with one Idempotency-Key apart.
type fingerprint [sha256.Size]byte

type callKey struct{}

// callOf returns the call that ctx carries.
func callOf(ctx context.Context) call {
	c, _ := ctx.Value(callKey{}).(call)
	return c
}

func (c call) in(ctx context.Context) context.Context { return context.WithValue(ctx, callKey{}, c) }

// correlationPattern is what the name of a flow may be: something that fits an attribute of an event, a header and a line of
// a log.
const correlationPattern = `^[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}$`

var correlations = regexp.MustCompile(correlationPattern)

// newCall returns what r tells. The flow gets the name of the request where its headers name none.
func newCall(r *http.Request) call {
	c := call{id: newID(), correlation: r.Header.Get(headerCorrelation)}
	if !correlations.MatchString(c.correlation) {
		c.correlation = c.id
	}
	return c
}

// newID returns an id that nothing else has. Later ones are larger, which keeps the indexes of databases compact.
func newID() string { return uuid.Must(uuid.NewV7()).String() }

// fingerprintOf returns the fingerprint of a request.
func fingerprintOf(r *http.Request, body []byte) fingerprint {
	hash := sha256.New()
	for _, part := range [][]byte{[]byte(r.Method), []byte(r.URL.EscapedPath()), body} {
		sum := sha256.Sum256(part)
		hash.Write(sum[:])
	}
	return fingerprint(hash.Sum(nil))
}
