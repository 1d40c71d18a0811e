package function

import (
	"errors"
	"fmt"
	"net/http"
)

// Service is a program that answers HTTP requests. It is a value; copy it freely.
//
// Behind which server its handler runs it cannot tell: net/http on a machine or in a container, a function URL on Lambda.
// There a process answers one request at a time and is frozen in between, so a handler must not leave work to goroutines that
// outlive the request: that is what a [Chore] is for.
type Service struct {
	// Name is the service's name, lower-case words with hyphens, at most 64 characters: "order-api".
	Name string
	// Settings is a pointer to a zero struct of the kind that New fills with [Lookup.Into], for --help. Default: none.
	Settings any
	// Emits lists the types of the events that its chores publish. Who deploys it gives it the right to. Default: none.
	Emits []string
	// New makes the handler, once per process. lookup reads the environment. The handler may be a [Worker] and
	// an io.Closer.
	//
	// Requests are counted by their method and by the pattern of http.ServeMux that matched: use one, with patterns such
	// as "GET /orders/{id}". Bodies and headers have come within the limits that the environment sets; a body that is
	// longer fails to be read with *http.MaxBytesError. The request's context ends when the client goes away, and when the process
	// has to leave.
	New func(lookup Lookup) (http.Handler, error)
}

// Complete returns s, or an error that names every field that is missing or wrong.
func (s Service) Complete() (Service, error) {
	var problems []error
	if !isName(s.Name) {
		problems = append(problems, fmt.Errorf("service %q: Name must be lower-case words joined by hyphens, at most 64 characters", s.Name))
	}
	if s.New == nil {
		problems = append(problems, fmt.Errorf("service %q: New is nil", s.Name))
	}
	return s, errors.Join(problems...)
}
