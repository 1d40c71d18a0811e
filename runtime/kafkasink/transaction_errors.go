package kafkasink

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/millrace/millrace/runtime/function"
)

// GroupError says that the group refused a transaction's offsets, because the member's generation, id or instance is not
// the group's any more, or because somebody else has committed beyond them. Nothing of the transaction was committed as
// far as its partitions are still the caller's: who owns them tries again with fresh metadata, who does not leaves them
// to their owner.
type GroupError struct {
	Group string
	// Err is sarama's ErrIllegalGeneration, ErrUnknownMemberId or ErrFencedInstancedId, or tells who moved the offset.
	Err error
}

func (e *GroupError) Error() string {
	return fmt.Sprintf("commit a transaction for group %s: the group moved on, commit again with fresh metadata if the "+
		"partitions are still owned: %v", e.Group, e.Err)
}

// Unwrap returns the broker's answer.
func (e *GroupError) Unwrap() error { return e.Err }

// RecordFailure is why one record of a transaction cannot be published.
type RecordFailure struct {
	// Index is the record's place among those that Commit was called with.
	Index int
	// Err tells in the words of [function.VerdictOf] what it means, as that of [Sink.Send] does. It names the topic and
	// the event.
	Err error
}

// RecordsError says that some records of a transaction cannot be published: their topic does not exist or may not be
// written to, they are too large for it, or the broker refused them. Nothing was committed. There may be more such
// records than it names; the next Commit names those.
type RecordsError struct {
	// Failures are in the order of the records.
	Failures []RecordFailure
}

// maxFailuresShown bounds an error's text: a transaction may hold thousands of records.
const maxFailuresShown = 3

func (e *RecordsError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "commit a transaction: %d records cannot be published:", len(e.Failures))
	for i, f := range e.Failures {
		if i == maxFailuresShown {
			fmt.Fprintf(&b, " and %d more", len(e.Failures)-i)
			break
		}
		fmt.Fprintf(&b, " record %d: %v;", f.Index, f.Err)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// Unwrap returns the errors of the records.
func (e *RecordsError) Unwrap() []error {
	errs := make([]error, len(e.Failures))
	for i, f := range e.Failures {
		errs[i] = f.Err
	}
	return errs
}

// UnknownOutcomeError says that a transaction was asked to be committed and that nobody could be asked whether it was.
// The next [Transactor.Commit] finds out before it does anything else: called with the same offsets, it returns nil if
// they were committed and commits them otherwise.
//
// A transaction without offsets leaves nothing by which to find out: trying again may publish its records twice.
type UnknownOutcomeError struct {
	// Err is why the outcome is not known.
	Err error
}

func (e *UnknownOutcomeError) Error() string {
	return fmt.Sprintf("commit a transaction: whether it was committed is unknown: %v", e.Err)
}

// Unwrap returns why the outcome is not known.
func (e *UnknownOutcomeError) Unwrap() error { return e.Err }

// EarlierCommittedError says that the transaction before this one, whose outcome was unknown, was committed after all,
// and that it held other offsets than this one. Nothing of this one was committed: leave out what the earlier one held
// and call Commit again.
type EarlierCommittedError struct {
	// Offsets are those of the earlier transaction.
	Offsets []Offset
}

func (e *EarlierCommittedError) Error() string {
	return fmt.Sprintf("commit a transaction: the one before, with offsets of %d partitions, was committed after all; "+
		"nothing of this one was", len(e.Offsets))
}

// FencedError says that somebody else has taken over the transactional id. Nothing of the transaction was committed. The
// next Commit takes the id back.
type FencedError struct {
	TransactionalID string
	// Again says that it was taken over a short while ago already: two programs share the id.
	Again bool
	// Err is the broker's answer.
	Err error
}

func (e *FencedError) Error() string {
	advice := "another producer with this id was started"
	if e.Again {
		advice = "taken over again and again, so two programs use this id: give each its own"
	}
	return fmt.Sprintf("commit a transaction: transactional id %s: %s: %v", e.TransactionalID, advice, e.Err)
}

// Unwrap returns the broker's answer.
func (e *FencedError) Unwrap() error { return e.Err }

// errTransactionSlow says that a transaction was given up before the coordinator would have done so.
var errTransactionSlow = errors.New("the transaction took too long")

// failTopics is the error of the records whose topics are in refused.
func (t *Transactor) failTopics(tx *transaction, refused map[string]error) error {
	var failures []RecordFailure
	for topic, cause := range refused {
		var indices []int
		for i := range tx.records {
			if tx.records[i].topic == topic {
				indices = append(indices, i)
			}
		}
		more, err := t.failRecords(tx, indices, cause)
		if err != nil {
			return err
		}
		failures = append(failures, more...)
	}
	return recordsError(failures)
}

// failRecords says what cause means for each of some records. Where it is not about records, it is returned.
func (t *Transactor) failRecords(tx *transaction, indices []int, cause error) ([]RecordFailure, error) {
	failures := make([]RecordFailure, 0, len(indices))
	for _, i := range indices {
		p := &tx.records[i]
		err := classify(p.subject(), p.topic, t.brokers, cause)
		if function.VerdictOf(err) == function.Broken {
			return nil, fmt.Errorf("topic %s: %w", p.topic, cause)
		}
		failures = append(failures, RecordFailure{Index: i, Err: err})
	}
	return failures, nil
}

func recordsError(failures []RecordFailure) error {
	if len(failures) == 0 {
		return nil
	}
	slices.SortFunc(failures, func(a, b RecordFailure) int { return cmp.Compare(a.Index, b.Index) })
	return &RecordsError{Failures: failures}
}
