package provider

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
)

// Dependency names the provider in function.Unavailable.
const Dependency = "payment-provider"

// DefaultTimeout is the default of Options.Timeout.
const DefaultTimeout = 5 * time.Second

const (
	// maxIdle is how many unused connections are kept: one for each handler that runs at once by default.
	maxIdle = 256
	// maxAnswer bounds the header and the body of an answer each, in bytes.
	maxAnswer = 64 << 10
	// maxText bounds the texts of an answer that are kept, in bytes.
	maxText = 256
)

// Options are what a Client can be told beside its address and key. The zero value holds the defaults.
type Options struct {
	// Timeout is how long a request may take, with its answer. Default: [DefaultTimeout].
	Timeout time.Duration
	// RootCAs may sign the provider's certificate. Default: the system's.
	RootCAs *x509.CertPool
}

// Client speaks to one provider. It may be used by many goroutines at once.
type Client struct {
	address Address
	key     config.Secret
	http    *http.Client
}

// Charge is money to be taken from a customer.
type Charge struct {
	OrderID    string         `json:"orderId"`
	CustomerID string         `json:"customerId,omitzero"`
	Amount     money.Amount   `json:"amount"`
	Currency   money.Currency `json:"currency"`
}

// Refund is money to be given back.
type Refund struct {
	// TransactionID is that of the payment.
	TransactionID string         `json:"transactionId,omitzero"`
	OrderID       string         `json:"orderId"`
	Amount        money.Amount   `json:"amount"`
	Currency      money.Currency `json:"currency"`
	// PaidByHand says that the payment was not made by [Client.Charge].
	PaidByHand bool   `json:"paidByHand,omitzero"`
	Reason     string `json:"reason,omitzero"`
}

// Receipt is what the provider tells of money that moved.
type Receipt struct {
	// TransactionID is the provider's name for it.
	TransactionID string
	// Method is how it was paid, such as "card". It may be empty.
	Method string
	// At is when the provider did it, in UTC.
	At time.Time
}

// New returns a client of the provider at address, which knows us by key.
func New(address Address, key config.Secret, o *Options) *Client {
	if o == nil {
		o = &Options{}
	}
	timeout := o.Timeout
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Client{address: address, key: key, http: &http.Client{
		Transport: &http.Transport{
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			MaxResponseHeaderBytes: maxAnswer,
			MaxIdleConnsPerHost:    maxIdle,
			IdleConnTimeout:        30 * time.Second,
			DisableCompression:     true,
			ForceAttemptHTTP2:      true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       timeout,
	}}
}

// Close closes the connections that nobody uses.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Charge takes money. id names the charge: asked again with the same id and charge, the provider answers the same and
// takes nothing more. The package comment lists the errors.
func (c *Client) Charge(ctx context.Context, id string, charge Charge) (Receipt, error) {
	return c.post(ctx, "charges", id, charge, charge.Amount, charge.Currency)
}

// Refund gives money back, once for each id, as Charge takes it.
func (c *Client) Refund(ctx context.Context, id string, refund Refund) (Receipt, error) {
	return c.post(ctx, "refunds", id, refund, refund.Amount, refund.Currency)
}

// post asks for one movement of money, and checks that the answer tells of it.
func (c *Client) post(
	ctx context.Context, resource, id string, asked any, amount money.Amount, currency money.Currency,
) (Receipt, error) {
	body, err := json.Marshal(asked)
	if err != nil {
		return Receipt{}, function.Permanent(fmt.Errorf("payment provider: body of %s: %w", resource, err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address.base.JoinPath(resource).String(), bytes.NewReader(body))
	if err != nil {
		return Receipt{}, function.Permanent(errors.New("payment provider: the request cannot be made"))
	}
	request.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Idempotency-Key", id)
	request.Header.Set("User-Agent", "millrace")
	status, content, err := c.send(request)
	if err != nil {
		return Receipt{}, c.unanswered(ctx, err)
	}
	if err := c.outcome(status, content); err != nil {
		return Receipt{}, err
	}
	receipt, err := readReceipt(content, amount, currency)
	if err != nil {
		return Receipt{}, fmt.Errorf("payment provider %s answered %d: %w", c.address.base.Host, status, err)
	}
	return receipt, nil
}

var errTooLarge = fmt.Errorf("the answer has more than %d bytes", maxAnswer)

// send returns the status and the body of the answer to a request.
func (c *Client) send(request *http.Request) (status int, content []byte, err error) {
	answer, err := c.http.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	content, err = io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err == nil && len(content) > maxAnswer {
		err = errTooLarge
	}
	return answer.StatusCode, content, err
}

// unanswered says what becomes of an event whose request got no whole answer: nobody knows whether money moved.
func (c *Client) unanswered(ctx context.Context, err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		err = wrapped.Err // without the address
	}
	told := fmt.Errorf("payment provider %s: %w", c.address.base.Host, err)
	if errors.Is(ctx.Err(), context.Canceled) {
		return told
	}
	return function.Unavailable(Dependency, told)
}
