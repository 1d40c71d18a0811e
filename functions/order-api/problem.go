package orderapi

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/millrace/millrace/functions/internal/order"
	"github.com/millrace/millrace/runtime/function"
)

// problem is the answer to what cannot be done, as RFC 9457 wants it. Only the kinds below have a type.
type problem struct {
	Type     string   `json:"type,omitzero" format:"uri-reference" doc:"Names the kind of problem. Missing where the status says it all."`
	Title    string   `json:"title" doc:"The kind of problem in some words, always the same."`
	Status   int      `json:"status" minimum:"400" maximum:"599" doc:"The HTTP status."`
	Detail   string   `json:"detail,omitzero" doc:"What is wrong this time."`
	Instance string   `json:"instance,omitzero" format:"uri-reference" doc:"The id of the request as a URN. X-Request-ID has it, too."`
	Errors   []detail `json:"errors,omitempty" nullable:"false" doc:"What is wrong where."`
}

// detail is one of the things that are wrong with a request.
type detail struct {
	Location string `json:"location,omitzero" doc:"Where it is: body.items[0].price, query.limit, header.If-Match."`
	Message  string `json:"message" doc:"What it has to be."`
}

// maxDetails is how many details a problem has at most: a body may be wrong in thousands of places.
const maxDetails = 20

// Error returns the detail.
func (p *problem) Error() string { return p.Detail }

// GetStatus returns the HTTP status. huma asks for it.
func (p *problem) GetStatus() int { return p.Status }

// retryAfter is how many seconds a client should wait before it tries again what may work then.
const retryAfter = "1"

// GetHeaders returns headers that belong to the status. huma asks for them.
func (p *problem) GetHeaders() http.Header {
	header := http.Header{}
	if p.Status == http.StatusServiceUnavailable {
		header.Set("Retry-After", retryAfter)
	}
	return header
}

// ContentType returns the media type of RFC 9457. huma asks for it.
func (p *problem) ContentType(string) string { return mediaProblem }

// kind is a kind of problem, for programs that tell those of one status apart.
type kind struct {
	name, title string
	status      int
}

// The kinds of problems that are more than their status.
var (
	unreadable       = kind{"unreadable", "The request cannot be read", http.StatusBadRequest}
	unknownOrder     = kind{"unknown-order", "There is no such order", http.StatusNotFound}
	ruleBroken       = kind{"rule-broken", "The order is not as it would have to be", http.StatusConflict}
	changedMeanwhile = kind{"changed-meanwhile", "The order was changed at the same moment", http.StatusConflict}
	keyInUse         = kind{"key-in-use", "A request with this Idempotency-Key is being handled", http.StatusConflict}
	otherVersion     = kind{"other-version", "The order has another version", http.StatusPreconditionFailed}
	invalid          = kind{"invalid", "Something in the request is not what it has to be", http.StatusUnprocessableEntity}
	keyReused        = kind{"key-reused", "The Idempotency-Key belongs to another request", http.StatusUnprocessableEntity}
	notBuilt         = kind{"list-not-built", "The list is being built", http.StatusServiceUnavailable}
	unavailable      = kind{"unavailable", "The database does not answer", http.StatusServiceUnavailable}
)

// kinds lists the kinds of problems, for people who read about them.
var kinds = []kind{
	unreadable, unknownOrder, ruleBroken, changedMeanwhile, keyInUse, otherVersion, invalid, keyReused, notBuilt, unavailable,
}

// typeBase is what the types of problems begin with.
const typeBase = "https://millrace.dev/problems/"

// because returns a problem of the kind.
func (k kind) because(format string, args ...any) *problem {
	return &problem{Type: typeBase + k.name, Title: k.title, Status: k.status, Detail: fmt.Sprintf(format, args...)}
}

// statusProblem returns a problem that the status says all about.
func statusProblem(status int, detail string) *problem {
	return &problem{Title: http.StatusText(status), Status: status, Detail: detail}
}

// at adds where it is.
func (p *problem) at(location, message string) *problem {
	if len(p.Errors) < maxDetails {
		p.Errors = append(p.Errors, detail{cut(location), message})
	}
	return p
}

// cut shortens what clients chose the length of.
func cut(s string) string {
	const enough = 200
	if len(s) <= enough {
		return s
	}
	return strings.ToValidUTF8(s[:enough], "") + "…"
}

// of returns the problem as that of a request.
func (p *problem) of(c call) *problem {
	told := *p
	told.Instance = "urn:uuid:" + c.id
	return &told
}

// tellProblems has huma answer with problems of this API, and leave out what it quotes.
func tellProblems(ctx huma.Context, _ string, answer any) (any, error) {
	switch answer := answer.(type) {
	case *huma.ErrorModel:
		return problemOfModel(answer).of(callOf(ctx.Context())), nil
	case *problem:
		return answer.of(callOf(ctx.Context())), nil
	}
	return answer, nil
}

// problemOf says to the caller what err means, and to the log where that is not the caller's doing.
func problemOf(ctx context.Context, err error) *problem {
	if p, ok := errors.AsType[*problem](err); ok {
		return p
	}
	if broken, ok := errors.AsType[*order.RuleError](err); ok {
		return problemOfRule(broken)
	}
	if wrong, ok := errors.AsType[*order.InvalidError](err); ok {
		return invalid.because("%s", sentence(wrong.Err.Error()))
	}
	if down, ok := errors.AsType[*function.UnavailableError](err); ok {
		return problemOfDatabase(ctx, down)
	}
	slog.ErrorContext(ctx, "a request failed", "error", err.Error(), "request", callOf(ctx).id)
	return statusProblem(http.StatusInternalServerError, "The request failed for a reason that is in the log of the service.")
}

// problemOfDatabase returns the problem of a database that does not answer. That is not told to the log where it was only the
// client who went away.
func problemOfDatabase(ctx context.Context, down *function.UnavailableError) *problem {
	if !errors.Is(ctx.Err(), context.Canceled) {
		slog.ErrorContext(ctx, "the database does not answer",
			"dependency", down.Dependency, "error", down.Err.Error(), "request", callOf(ctx).id)
	}
	return unavailable.because("The database does not answer, so it is not known whether anything was changed. " +
		"Repeat the request, with the same Idempotency-Key where it has one.")
}

// problemOfRule returns the problem of a command that the order does not allow.
func problemOfRule(broken *order.RuleError) *problem {
	if broken.Status == order.None {
		return unknown(broken.OrderID)
	}
	return ruleBroken.because("%s", sentence(broken.Error()))
}

// unknown returns the problem of an order that is not there.
func unknown(id string) *problem { return unknownOrder.because("There is no order %q.", id) }

// problemOfModel returns what huma found wrong, without the values, which may be long.
func problemOfModel(found *huma.ErrorModel) *problem {
	p := statusProblem(found.Status, found.Detail)
	switch found.Status {
	case http.StatusBadRequest:
		p = unreadable.because("%s", sentence(found.Detail))
	case http.StatusUnprocessableEntity:
		p = invalid.because("%s", sentence(found.Detail))
	case http.StatusInternalServerError:
		return p
	}
	for _, e := range found.Errors {
		p = p.at(e.Location, e.Message)
	}
	return p
}

// sentence writes text as a sentence.
func sentence(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:] + "."
}
