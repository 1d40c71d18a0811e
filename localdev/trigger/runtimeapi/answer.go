package runtimeapi

import (
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"
)

// failure is AWS's error document.
type failure struct {
	Message string `json:"errorMessage"`
	Type    string `json:"errorType"`
}

func refusef(w http.ResponseWriter, status int, errorType, format string, args ...any) {
	answerJSON(w, status, failure{Message: fmt.Sprintf(format, args...), Type: errorType})
}

// refuseTransition says that it is not the time for what the process asks.
func refuseTransition(w http.ResponseWriter, from, to state) {
	refusef(w, http.StatusForbidden, "InvalidStateTransition",
		"State transition from %s to %s failed for runtime. Error: State transition is not allowed", from, to)
}

func accept(w http.ResponseWriter) {
	answerJSON(w, http.StatusAccepted, struct {
		Status string `json:"status"`
	}{"OK"})
}

func answerJSON(w http.ResponseWriter, status int, body any) {
	document, err := json.Marshal(body)
	if err != nil {
		status = http.StatusInternalServerError
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(document) // a process that is gone is noticed by its end
}
