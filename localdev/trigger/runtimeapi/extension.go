package runtimeapi

import (
	"io"
	"net/http"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"
)

const (
	headerExtensionName = "Lambda-Extension-Name"
	headerExtensionID   = "Lambda-Extension-Identifier"
)

// maxRegistration bounds the body of a registration.
const maxRegistration = 64 << 10

// register registers the process itself as an extension that waits for no events.
func (s *Session) register(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get(headerExtensionName) == "" {
		refusef(w, http.StatusForbidden, "Extension.InvalidExtensionName", "Empty extension name")
		return
	}
	var request struct {
		Events []string `json:"events"`
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRegistration))
	if err == nil {
		err = json.Unmarshal(body, &request)
	}
	if err != nil {
		refusef(w, http.StatusForbidden, "InvalidRequestFormat", "%v", err)
		return
	}
	if len(request.Events) > 0 {
		refusef(w, http.StatusForbidden, "Extension.InvalidEventType", "%s: extensions that wait for events are not emulated", request.Events[0])
		return
	}
	id, ok := s.extend()
	if !ok {
		refusef(w, http.StatusForbidden, "Extension.RegistrationClosed", "Extension registration closed already")
		return
	}
	w.Header().Set(headerExtensionID, id)
	answerJSON(w, http.StatusOK, registered{s.process.Function, s.process.Version, s.process.Handler})
}

type registered struct {
	FunctionName    string `json:"functionName"`
	FunctionVersion string `json:"functionVersion"`
	Handler         string `json:"handler"`
}

// extend registers an extension. A process has at most one, and only while it starts.
func (s *Session) extend() (id string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.process.Replaceable && (s.extension != "" || s.stateNow() != started) {
		return "", false
	}
	s.extension = uuid.NewString()
	return s.extension, true
}

// extensionNext waits for the end: there are no events.
func (s *Session) extensionNext(w http.ResponseWriter, r *http.Request) {
	id := r.Header.Get(headerExtensionID)
	if id == "" {
		refusef(w, http.StatusForbidden, "Extension.MissingExtensionIdentifier", "Missing %s header", headerExtensionID)
		return
	}
	if _, err := uuid.Parse(id); err != nil {
		refusef(w, http.StatusForbidden, "Extension.InvalidExtensionIdentifier", "Invalid %s", headerExtensionID)
		return
	}
	if !s.isExtension(id) {
		refusef(w, http.StatusForbidden, "Extension.UnknownExtensionIdentifier", "Unknown extension %s", id)
		return
	}
	select {
	case <-r.Context().Done():
	case <-s.closed:
	}
}

func (s *Session) isExtension(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.extension == id
}
