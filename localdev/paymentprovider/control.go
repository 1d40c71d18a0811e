package paymentprovider

import (
	"net/http"
	"time"
)

func (p *Provider) list(kind Kind) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		entries := p.book.list(kind, r.URL.Query().Get("order"), maxListed)
		reply(w, http.StatusOK, map[string][]Entry{string(kind) + "s": entries})
	}
}

func (p *Provider) getBooks(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, map[string][]Account{"orders": p.Accounts()})
}

// mode is a Mode as JSON.
type mode struct {
	State State  `json:"state"`
	Delay string `json:"delay,omitzero"`
}

func (p *Provider) getMode(w http.ResponseWriter, _ *http.Request) {
	m := p.Mode()
	reply(w, http.StatusOK, mode{State: m.State, Delay: m.Delay.String()})
}

func (p *Provider) putMode(w http.ResponseWriter, r *http.Request) {
	var asked mode
	if err := readJSON(w, r, &asked); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	m := Mode{State: asked.State}
	if asked.Delay != "" {
		delay, err := time.ParseDuration(asked.Delay)
		if err != nil {
			refuse(w, http.StatusBadRequest, "invalid_request", "delay must be a duration such as 2s")
			return
		}
		m.Delay = delay
	}
	if err := p.SetMode(m); err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	p.getMode(w, r)
}
