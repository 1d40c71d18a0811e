package paymentprovider

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
)

// Kind says which way money goes.
type Kind string

// The kinds of entries.
const (
	// Charge takes money from a customer.
	Charge Kind = "charge"
	// Refund gives money back.
	Refund Kind = "refund"
)

// Entry is what became of a request with a new Idempotency-Key.
type Entry struct {
	Kind Kind `json:"kind"`
	// Key is the Idempotency-Key.
	Key string `json:"key"`
	// ID names the transaction: "ch_…" or "re_…".
	ID         string         `json:"id"`
	OrderID    string         `json:"orderId"`
	CustomerID string         `json:"customerId,omitzero"`
	Amount     money.Amount   `json:"amount"`
	Currency   money.Currency `json:"currency"`
	// TransactionID is what a refund gives back of.
	TransactionID string `json:"transactionId,omitzero"`
	// PaidByHand says that a refund is of a payment that the provider never saw.
	PaidByHand bool   `json:"paidByHand,omitzero"`
	Reason     string `json:"reason,omitzero"`
	// Declined says why no money moved, as the code of the answer; empty where it did.
	Declined string    `json:"declined,omitzero"`
	At       time.Time `json:"at"`
}

// Account is what became of an order's money.
type Account struct {
	OrderID string `json:"orderId"`
	// Charges, Declined and Refunds count entries.
	Charges  int `json:"charges"`
	Declined int `json:"declined"`
	Refunds  int `json:"refunds"`
	// Charged and Refunded are sums.
	Charged  money.Amount `json:"charged"`
	Refunded money.Amount `json:"refunded"`
}

// The reasons for which a request books nothing.
var (
	errReused  = errors.New("this Idempotency-Key came with another request before")
	errUnknown = errors.New("no such transaction of this order and currency")
	errTooMuch = errors.New("more is to be given back than was charged")
)

// book is all entries. Its methods may be called concurrently.
type book struct {
	now     func() time.Time
	journal *journal

	mu      sync.Mutex
	entries []*Entry
	byKey   map[string]*Entry
	byID    map[string]*Entry
	byOrder map[string][]*Entry
}

// openBook returns the book with what the file tells.
func openBook(path string, now func() time.Time) (*book, error) {
	b := &book{now: now, byKey: map[string]*Entry{}, byID: map[string]*Entry{}, byOrder: map[string][]*Entry{}}
	told, err := b.open(path)
	if err != nil {
		return nil, fmt.Errorf("books of the payment provider: %w", err)
	}
	for _, e := range told {
		b.keep(&e)
	}
	return b, nil
}

func (b *book) open(path string) (told []Entry, err error) {
	if path == "" {
		return nil, nil
	}
	b.journal, told, err = openJournal(path)
	return told, err
}

// enter books wanted, unless its key was seen: then the first entry is returned, and fresh is false. decline says that a
// charge is to be declined whatever its amount.
func (b *book) enter(wanted Entry, decline bool) (e Entry, fresh bool, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if first, ok := b.byKey[wanted.Key]; ok {
		if !first.asks(wanted) {
			return Entry{}, false, errReused
		}
		return *first, false, nil
	}
	if err := b.check(wanted); err != nil {
		return Entry{}, false, err
	}
	wanted.complete(decline, b.now())
	if b.journal != nil {
		if err := b.journal.append(wanted); err != nil {
			return Entry{}, false, err
		}
	}
	b.keep(&wanted)
	return wanted, true, nil
}

// keep adds e to the indexes.
func (b *book) keep(e *Entry) {
	b.entries = append(b.entries, e)
	b.byKey[e.Key] = e
	b.byID[e.ID] = e
	b.byOrder[e.OrderID] = append(b.byOrder[e.OrderID], e)
}

// asks tells whether the request that led to e was the same as wanted.
func (e *Entry) asks(wanted Entry) bool {
	return e.Kind == wanted.Kind && e.OrderID == wanted.OrderID && e.CustomerID == wanted.CustomerID &&
		e.Amount.Equal(wanted.Amount) && e.Currency == wanted.Currency && e.Reason == wanted.Reason &&
		e.TransactionID == wanted.TransactionID && e.PaidByHand == wanted.PaidByHand
}

// check returns why a refund cannot be made.
func (b *book) check(wanted Entry) error {
	if wanted.Kind == Charge || wanted.PaidByHand {
		return nil
	}
	charge, ok := b.byID[wanted.TransactionID]
	if !ok || charge.Kind != Charge || charge.Declined != "" || charge.OrderID != wanted.OrderID || charge.Currency != wanted.Currency {
		return errUnknown
	}
	left := charge.Amount
	for _, e := range b.byOrder[wanted.OrderID] {
		if e.TransactionID == charge.ID {
			left, _ = left.Sub(e.Amount) // it was compared when it was booked
		}
	}
	if wanted.Amount.Cmp(left) > 0 {
		return errTooMuch
	}
	return nil
}

// complete makes a request an entry. Ids follow from keys, so that they are the same whenever the books are lost.
func (e *Entry) complete(decline bool, now time.Time) {
	sum := sha256.Sum256([]byte(string(e.Kind) + " " + e.Key))
	e.ID = string(e.Kind[:2]) + "_" + hex.EncodeToString(sum[:12])
	e.At = now.UTC()
	if e.Kind == Charge {
		e.Declined = declineCode(e.Amount)
		if e.Declined == "" && decline {
			e.Declined = cardDeclined
		}
	}
}

// The codes with which charges are declined.
const (
	cardDeclined      = "card_declined"
	insufficientFunds = "insufficient_funds"
)

// declineCode returns the code with which an amount is declined, "" where it is not.
func declineCode(a money.Amount) string {
	_, fraction, _ := strings.Cut(a.String(), ".")
	switch strings.TrimRight(fraction, "0") {
	case "13":
		return cardDeclined
	case "14":
		return insufficientFunds
	}
	return ""
}

// list returns the last entries of a kind, of one order or, with an empty order, of all.
func (b *book) list(kind Kind, order string, limit int) []Entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	from := b.entries
	if order != "" {
		from = b.byOrder[order]
	}
	var found []Entry
	for _, e := range slices.Backward(from) {
		if len(found) == limit {
			break
		}
		if e.Kind == kind {
			found = append(found, *e)
		}
	}
	slices.Reverse(found)
	return found
}

// accounts returns what became of each order's money, by order id.
func (b *book) accounts() []Account {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := make([]Account, 0, len(b.byOrder))
	for order, entries := range b.byOrder {
		a := Account{OrderID: order}
		for _, e := range entries {
			a.add(e)
		}
		all = append(all, a)
	}
	slices.SortFunc(all, func(a, b Account) int { return strings.Compare(a.OrderID, b.OrderID) })
	return all
}

// add counts an entry. A sum that has more digits than an amount can have stays as it was.
func (a *Account) add(e *Entry) {
	count, sum := &a.Charges, &a.Charged
	switch {
	case e.Declined != "":
		a.Declined++
		return
	case e.Kind == Refund:
		count, sum = &a.Refunds, &a.Refunded
	}
	*count++
	if total, err := sum.Add(e.Amount); err == nil {
		*sum = total
	}
}

func (b *book) close() error {
	if b.journal == nil {
		return nil
	}
	return b.journal.close()
}
