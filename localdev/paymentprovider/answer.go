package paymentprovider

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
)

// problem is the body of an answer that tells of an error.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// transaction is the body of an answer to a charge or a refund that went through.
type transaction struct {
	ID            string         `json:"id"`
	OrderID       string         `json:"orderId"`
	TransactionID string         `json:"transactionId,omitzero"`
	Amount        money.Amount   `json:"amount"`
	Currency      money.Currency `json:"currency"`
	Method        string         `json:"method,omitzero"`
	CreatedAt     time.Time      `json:"createdAt"`
}

func (p *Provider) postCharge(w http.ResponseWriter, r *http.Request) { p.enter(w, r, Charge) }

func (p *Provider) postRefund(w http.ResponseWriter, r *http.Request) { p.enter(w, r, Refund) }

// enter books a charge or a refund, as the mode says.
func (p *Provider) enter(w http.ResponseWriter, r *http.Request, kind Kind) {
	wanted, err := read(w, r, kind)
	if err != nil {
		refuse(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	mode := p.Mode()
	switch mode.State {
	case Hanging:
		p.wait(r, maxDelay)
		panic(http.ErrAbortHandler)
	case Down:
		p.wait(r, mode.Delay)
		refuse(w, http.StatusServiceUnavailable, "unavailable", "the provider is down")
		return
	case Up, Declining, Losing:
	}
	e, fresh, err := p.book.enter(wanted, mode.State == Declining)
	if fresh && p.booked != nil {
		p.booked(e)
	}
	p.wait(r, mode.Delay)
	if mode.State == Losing {
		panic(http.ErrAbortHandler)
	}
	p.answer(w, e, fresh, err)
}

// wait waits until the time is over, the caller has gone or the provider closes.
func (p *Provider) wait(r *http.Request, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-p.closing:
	}
}

// answer tells what became of a request.
func (p *Provider) answer(w http.ResponseWriter, e Entry, fresh bool, err error) {
	if !fresh && err == nil {
		w.Header().Set("Idempotent-Replayed", "true")
	}
	switch {
	case errors.Is(err, errReused):
		refuse(w, http.StatusUnprocessableEntity, "idempotency_key_reused", err.Error())
	case errors.Is(err, errUnknown):
		refuse(w, http.StatusNotFound, "unknown_transaction", err.Error())
	case errors.Is(err, errTooMuch):
		refuse(w, http.StatusUnprocessableEntity, "refund_exceeds_charge", err.Error())
	case err != nil:
		p.log.Error("the payment provider cannot write its books", "error", err)
		refuse(w, http.StatusInternalServerError, "internal", "the books cannot be written")
	case e.Declined != "":
		refuse(w, http.StatusPaymentRequired, e.Declined, strings.ReplaceAll(e.Declined, "_", " "))
	default:
		t := transaction{ID: e.ID, OrderID: e.OrderID, TransactionID: e.TransactionID, Amount: e.Amount, Currency: e.Currency, CreatedAt: e.At}
		if e.Kind == Charge {
			t.Method = "card"
		}
		reply(w, http.StatusCreated, t)
	}
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	reply(w, status, problem{Code: code, Message: message})
}

func reply(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n'))
}
