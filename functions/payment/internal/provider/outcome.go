package provider

import (
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"

	"github.com/millrace/millrace/cloudevents/money"
	"github.com/millrace/millrace/runtime/function"
)

// DeclinedError says that the provider refuses to move the money, now and whenever it is asked again.
type DeclinedError struct {
	// Code is the provider's word for it, such as "card_declined". It may be empty.
	Code string
	// Reason is for people: one line of at most 256 bytes, never empty.
	Reason string
}

func (e *DeclinedError) Error() string { return "declined by the payment provider: " + e.Reason }

// code is what the code of a problem may look like, so that it can stand in errors.
var code = regexp.MustCompile(`^[a-z][a-z0-9_]{0,63}$`)

// problem is the body of an answer that tells of an error.
type problem struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func readProblem(content []byte) problem {
	var p problem
	if err := json.Unmarshal(content, &p); err != nil || !code.MatchString(p.Code) {
		return problem{}
	}
	return p
}

// outcome turns an answer that is no success into an error. The package comment has the table.
func (c *Client) outcome(status int, content []byte) error {
	if status >= 200 && status < 300 {
		return nil
	}
	told := readProblem(content)
	err := fmt.Errorf("payment provider %s answered %d", c.address.base.Host, status)
	if told.Code != "" {
		err = fmt.Errorf("%w, %s", err, told.Code)
	}
	switch status {
	case http.StatusPaymentRequired:
		return &DeclinedError{Code: told.Code, Reason: reasonOf(told)}
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusRequestTimeout, http.StatusTooManyRequests:
		return function.Unavailable(Dependency, err)
	case http.StatusConflict, http.StatusTooEarly:
		return &function.WaitError{Err: err}
	case http.StatusNotFound, http.StatusMethodNotAllowed:
		if told.Code == "" {
			return function.Unavailable(Dependency, err)
		}
	}
	if status < 400 || status >= 500 {
		return function.Unavailable(Dependency, err)
	}
	return function.Permanent(err)
}

func reasonOf(p problem) string {
	for _, text := range []string{p.Message, strings.ReplaceAll(p.Code, "_", " ")} {
		if text = Line(text); text != "" {
			return text
		}
	}
	return "declined"
}

// Line returns text as one line of at most 256 bytes, without control characters.
func Line(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, text)
	if len(text) > maxText {
		end := maxText
		for !utf8.RuneStart(text[end]) {
			end--
		}
		text = text[:end]
	}
	return strings.TrimSpace(text)
}

var (
	errNoReceipt = errors.New("the body is no receipt")
	errOther     = errors.New("the receipt is of another amount or currency than was asked for")
)

// readReceipt reads the body of a success.
func readReceipt(content []byte, amount money.Amount, currency money.Currency) (Receipt, error) {
	var told struct {
		ID        string         `json:"id"`
		Amount    money.Amount   `json:"amount"`
		Currency  money.Currency `json:"currency"`
		Method    string         `json:"method"`
		CreatedAt time.Time      `json:"createdAt"`
	}
	if err := json.Unmarshal(content, &told); err != nil || told.ID == "" || told.ID != Line(told.ID) || told.CreatedAt.IsZero() {
		return Receipt{}, errNoReceipt
	}
	if !told.Amount.Equal(amount) || told.Currency.String() != currency.String() {
		return Receipt{}, errOther
	}
	return Receipt{TransactionID: told.ID, Method: Line(told.Method), At: told.CreatedAt.UTC()}, nil
}
