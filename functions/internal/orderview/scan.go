package orderview

import (
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/millrace/millrace/cloudevents/money"
)

// stored scans a time, null as the zero time.
type stored struct{ to *time.Time }

// Scan implements [sql.Scanner].
func (s stored) Scan(value any) error {
	var at sql.NullInt64
	if err := at.Scan(value); err != nil {
		return err
	}
	*s.to = time.Time{}
	if at.Valid {
		*s.to = time.UnixMicro(at.Int64).UTC()
	}
	return nil
}

// decimal scans an amount, null as 0.
type decimal struct{ to *money.Amount }

// Scan implements [sql.Scanner].
func (d decimal) Scan(value any) error {
	var digits sql.NullString
	if err := digits.Scan(value); err != nil {
		return err
	}
	*d.to = money.Amount{}
	if !digits.Valid {
		return nil
	}
	amount, err := money.Parse(digits.String)
	if err != nil {
		return fmt.Errorf("an amount of the view: %w", err)
	}
	*d.to = amount
	return nil
}

// is tells whether err is, or wraps, an error of type E.
func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}
