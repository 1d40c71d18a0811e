package telemetry

import (
	"errors"
	"net/http"

	"github.com/go-json-experiment/json"
)

// maxReason bounds one error in an answer, in bytes.
const maxReason = 1 << 10

// NewHealthMux returns the handler of two paths, for GET and HEAD. Further paths may be added, so that one listener serves
// several things.
//
//   - /healthz: 200 as long as the process answers. A broker that is down is not mended by a restart, so it is told in the
//     body alone: {"status":"healthy","details":{"connectedTopics":5,"activeConsumers":3,"producerConnected":true}};
//     "unhealthy" has details.error besides, and a process that has circuits tells their states as details.circuits.
//   - /readyz: 200, or 503 with every unmet condition; with the circuits, too.
func NewHealthMux(health *Health) *http.ServeMux {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", health.serveHealth)
	mux.HandleFunc("GET /readyz", health.serveReady)
	return mux
}

type healthAnswer struct {
	Status  string        `json:"status"`
	Details healthDetails `json:"details"`
}

type healthDetails struct {
	ConnectedTopics   int               `json:"connectedTopics"`
	ActiveConsumers   int               `json:"activeConsumers"`
	ProducerConnected bool              `json:"producerConnected"`
	Circuits          map[string]string `json:"circuits,omitempty"`
	Error             string            `json:"error,omitempty"`
}

func (h *Health) serveHealth(w http.ResponseWriter, _ *http.Request) {
	c := h.counts()
	answer := healthAnswer{"healthy", healthDetails{c.topics, c.consumers, c.producer, c.circuits, ""}}
	if err := h.Ready(); err != nil {
		answer.Status, answer.Details.Error = "unhealthy", reason(err)
	}
	writeJSON(w, http.StatusOK, answer)
}

type readyAnswer struct {
	Status     string            `json:"status"`
	Conditions []conditionAnswer `json:"conditions,omitempty"`
	Circuits   map[string]string `json:"circuits,omitempty"`
}

type conditionAnswer struct {
	Component string `json:"component"`
	Error     string `json:"error"`
}

func (h *Health) serveReady(w http.ResponseWriter, _ *http.Request) {
	notReady, ok := errors.AsType[*NotReadyError](h.Ready())
	if !ok {
		writeJSON(w, http.StatusOK, readyAnswer{Status: "ready", Circuits: h.counts().circuits})
		return
	}
	answer := readyAnswer{Status: "not ready", Circuits: h.counts().circuits}
	for _, c := range notReady.Conditions {
		answer.Conditions = append(answer.Conditions, conditionAnswer{c.Component, reason(c.Err)})
	}
	writeJSON(w, http.StatusServiceUnavailable, answer)
}

func reason(err error) string {
	text, cut := cutText(err.Error(), maxReason)
	if cut > 0 {
		text += "…"
	}
	return text
}

func writeJSON(w http.ResponseWriter, status int, answer any) {
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A client that went away is no concern of the process.
	_ = json.MarshalWrite(w, answer, json.Deterministic(true))
}
