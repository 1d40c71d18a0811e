package telemetry

import (
	"net/http"
	"strings"
	"time"
)

// ChoreRun is one run of a function.Chore.
type ChoreRun struct {
	// Program is the name of the function or service that the chore is of.
	Program string
	Chore   string
	// Took is how long the run took.
	Took time.Duration
	// Err is why it failed, nil where it did not.
	Err error
}

// ChoreState is how far a function.Chore is behind.
type ChoreState struct {
	Program string
	Chore   string
	// Values are the numbers that the chore tells, by their names.
	Values map[string]float64
}

// Request is one HTTP request that a service has answered.
type Request struct {
	Service string
	Method  string
	// Pattern is that of http.ServeMux that matched, "" where none did.
	Pattern string
	// Code is the status of the answer.
	Code int
	Took time.Duration
}

// Route is the path of the pattern as metrics and spans name it: "/orders/{id}". It is "other" where no pattern matched, so
// that no client can make series.
func (r *Request) Route() string {
	route := r.Pattern
	if _, path, ok := strings.Cut(route, " "); ok {
		route = strings.TrimLeft(path, " \t")
	}
	if route == "" {
		return other
	}
	return route
}

// MethodName is the method as metrics name it: "other" for one that HTTP does not define.
func (r *Request) MethodName() string {
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return r.Method
	}
	return other
}
