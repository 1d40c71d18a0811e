package paymentprovider

import (
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
)

// request is the body of a charge and, with what it gives back, of a refund.
type request struct {
	OrderID       string         `json:"orderId"`
	CustomerID    string         `json:"customerId"`
	Amount        money.Amount   `json:"amount"`
	Currency      money.Currency `json:"currency"`
	TransactionID string         `json:"transactionId"`
	PaidByHand    bool           `json:"paidByHand"`
	Reason        string         `json:"reason"`
}

// authorized lets only requests with the key of the account through.
func (p *Provider) authorized(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		shown, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !p.key.IsZero() && subtle.ConstantTimeCompare([]byte(shown), []byte(p.key.Reveal())) == 0 {
			refuse(w, http.StatusUnauthorized, "unauthorized", "the key of the account is missing or wrong")
			return
		}
		next(w, r)
	})
}

// read returns what is to be booked.
func read(w http.ResponseWriter, r *http.Request, kind Kind) (Entry, error) {
	key := r.Header.Get("Idempotency-Key")
	if len(r.Header.Values("Idempotency-Key")) != 1 || key == "" || len(key) > maxKey {
		return Entry{}, errors.New("the header Idempotency-Key must stand once, with at most 255 bytes")
	}
	var asked request
	if err := readJSON(w, r, &asked); err != nil {
		return Entry{}, err
	}
	if err := asked.check(kind); err != nil {
		return Entry{}, err
	}
	return Entry{
		Kind: kind, Key: key, OrderID: asked.OrderID, CustomerID: asked.CustomerID, Amount: asked.Amount,
		Currency: money.Currency(asked.Currency.String()), TransactionID: asked.TransactionID, PaidByHand: asked.PaidByHand,
		Reason: asked.Reason,
	}, nil
}

var currency = regexp.MustCompile(`^[A-Z]{3}$`)

// check returns what a request lacks.
func (q *request) check(kind Kind) error {
	switch {
	case q.OrderID == "":
		return errors.New("orderId is missing")
	case q.Amount.Sign() <= 0:
		return errors.New("amount must be above 0")
	case !currency.MatchString(q.Currency.String()):
		return errors.New("currency must have three letters")
	case max(len(q.OrderID), len(q.CustomerID), len(q.TransactionID), len(q.Reason)) > maxText:
		return errors.New("no member may be longer than 1,024 bytes")
	case kind == Charge && (q.TransactionID != "" || q.PaidByHand):
		return errors.New("a charge gives nothing back")
	case kind == Refund && q.TransactionID == "" && !q.PaidByHand:
		return errors.New("transactionId is missing")
	}
	return nil
}

// readJSON reads a body of at most 64 KiB that arrives within 10 seconds. Its errors do not quote it.
func readJSON(w http.ResponseWriter, r *http.Request, target any) error {
	if mediaType, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || mediaType != "application/json" {
		return errors.New("Content-Type must be application/json")
	}
	// The deadline must not hold afterwards, when the connection is watched for a caller that goes away.
	connection := http.NewResponseController(w)
	if err := connection.SetReadDeadline(time.Now().Add(readTimeout)); err != nil {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return errors.New("the body is cut off or larger than 64 KiB")
	}
	if err := connection.SetReadDeadline(time.Time{}); err != nil {
		return err
	}
	if err := json.Unmarshal(body, target); err != nil {
		return errors.New("the body is not what is asked for")
	}
	return nil
}
