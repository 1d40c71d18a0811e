package orderapi

import (
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// The paths of the API.
const (
	pathOpenAPI   = "/openapi"
	pathDocs      = "/docs"
	pathOrders    = "/orders"
	pathOrder     = pathOrders + "/{id}"
	pathCustomers = "/customers"
)

// describer adds operations to the description of the API.
type describer struct{ registry huma.Registry }

// query returns an operation that only reads. Beside what all may answer, it answers as others say.
func (d describer) query(id, path, summary, description string, answer reflect.Type, others ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: http.MethodGet, Path: path, Summary: summary, Description: description,
		RejectUnknownQueryParameters: true, Responses: d.responses(http.StatusOK, answer, append(others, http.StatusUnprocessableEntity)),
	}
}

// creation returns an operation that places an order.
func (d describer) creation(id, path, summary, description string) huma.Operation {
	return d.command(id, path, summary, description, http.StatusCreated)
}

// change returns an operation that changes an order that exists.
func (d describer) change(id, place, summary, description string) huma.Operation {
	return d.command(id, pathOrder+place, summary, description, http.StatusOK, http.StatusNotFound, http.StatusPreconditionFailed)
}

// command returns an operation that changes an order, and is answered by the order.
func (d describer) command(id, path, summary, description string, status int, others ...int) huma.Operation {
	others = append(others, http.StatusForbidden, http.StatusRequestTimeout, http.StatusConflict, http.StatusRequestEntityTooLarge,
		http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity)
	op := huma.Operation{
		OperationID: id, Method: http.MethodPost, Path: path, Summary: summary, Description: description, DefaultStatus: status,
		RejectUnknownQueryParameters: true,
		// The front limits bodies, and has read them before huma does.
		MaxBodyBytes: maxBody + 1, BodyReadTimeout: -1,
		Responses: d.responses(status, reflect.TypeFor[orderView](), others),
	}
	done := op.Responses[strconv.Itoa(status)]
	done.Headers[headerReplayed] = header("true where the request was repeated: this is the answer that it got before.")
	return op
}

// responses returns what an operation answers.
func (d describer) responses(success int, answer reflect.Type, others []int) map[string]*huma.Response {
	all := map[string]*huma.Response{strconv.Itoa(success): d.response(success, mediaJSON, answer)}
	others = append(others,
		http.StatusBadRequest, http.StatusNotAcceptable, http.StatusInternalServerError, http.StatusServiceUnavailable)
	for _, status := range others {
		all[strconv.Itoa(status)] = d.response(status, mediaProblem, reflect.TypeFor[problem]())
	}
	return all
}

// meanings says what the API means by a status.
var meanings = map[int]string{
	http.StatusOK:             "Done.",
	http.StatusCreated:        "The order is placed.",
	http.StatusBadRequest:     "The URL or the body cannot be read.",
	http.StatusForbidden:      "A web page of another origin sent the request.",
	http.StatusNotFound:       "There is no such order.",
	http.StatusNotAcceptable:  "The Accept header rules out JSON.",
	http.StatusRequestTimeout: "The body did not arrive in time.",
	http.StatusConflict: "The order is not as it would have to be (rule-broken), somebody else changed it at the same moment (changed-meanwhile), " +
		"or a request with this Idempotency-Key is being handled (key-in-use).",
	http.StatusPreconditionFailed:    "The order has none of the versions that If-Match names (other-version).",
	http.StatusRequestEntityTooLarge: "The body has more than 65536 bytes.",
	http.StatusUnsupportedMediaType:  "The body is not application/json in UTF-8.",
	http.StatusUnprocessableEntity: "A parameter or a member of the body is not what it has to be (invalid), " +
		"or the Idempotency-Key belongs to another request (key-reused).",
	http.StatusInternalServerError: "The service failed. The log has the reason, under the id of the request.",
	http.StatusServiceUnavailable: "The database does not answer (unavailable): repeat the request, with its Idempotency-Key. " +
		"Or the list is being built (list-not-built).",
}

// response returns what is said about a status.
func (d describer) response(status int, media string, body reflect.Type) *huma.Response {
	r := &huma.Response{
		Description: meanings[status],
		Headers: map[string]*huma.Param{
			headerRequest:     header("The id of the request, and the causationid of events that follow from it."),
			headerCorrelation: header("The flow that the request belongs to."),
		},
		Content: map[string]*huma.MediaType{media: {Schema: d.registry.Schema(body, true, "")}},
	}
	if body == reflect.TypeFor[orderView]() {
		r.Headers["ETag"] = header(`The version of the order, for If-Match: "3".`)
	}
	switch status {
	case http.StatusCreated:
		r.Headers["Location"] = header("The path of the order.")
	case http.StatusServiceUnavailable:
		r.Headers["Retry-After"] = header("Seconds after which to try again.")
	case http.StatusUnsupportedMediaType:
		r.Headers["Accept"] = header("The media type that is supported.")
	}
	return r
}

func header(description string) *huma.Param {
	return &huma.Param{Description: description, Schema: &huma.Schema{Type: huma.TypeString}}
}
