package trigger

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
)

// identifier names a record in a function's answer.
type identifier struct {
	partition string
	offset    int64
}

// answer is what a function may say of a batch. Other fields are ignored.
type answer struct {
	Failures []struct {
		Item *struct {
			Partition *string `json:"partition"`
			Offset    *int64  `json:"offset"`
		} `json:"itemIdentifier"`
	} `json:"batchItemFailures"`
}

// parseAnswer returns the records that the function reports as failed. Nothing, null, an object without failures and an
// empty list say that there are none. An error means that the answer cannot be understood: AWS takes the whole batch as
// failed then.
func parseAnswer(payload []byte) ([]identifier, error) {
	if payload = bytes.TrimSpace(payload); len(payload) == 0 {
		return nil, nil
	}
	if len(payload) > maxEvent {
		return nil, fmt.Errorf("the answer has %d bytes, at most %d are read", len(payload), maxEvent)
	}
	var a answer
	if err := json.Unmarshal(payload, &a); err != nil {
		return nil, fmt.Errorf("the answer is not of the form of a partial response: %w", plain(err))
	}
	failed := make([]identifier, 0, len(a.Failures))
	for i, f := range a.Failures {
		if f.Item == nil || f.Item.Partition == nil || f.Item.Offset == nil {
			return nil, fmt.Errorf(`batchItemFailures[%d] must hold {"itemIdentifier":{"partition":"topic-0","offset":1}}`, i)
		}
		failed = append(failed, identifier{*f.Item.Partition, *f.Item.Offset})
	}
	return failed, nil
}

// plain leaves out of a decoder's error what the payload said.
func plain(err error) error {
	if semantic, ok := errors.AsType[*json.SemanticError](err); ok {
		return fmt.Errorf("at %q, byte %d", semantic.JSONPointer, semantic.ByteOffset)
	}
	return errors.New("it is not JSON")
}

// selectFailed returns the records that identifiers name, in the order of records. One that names none of them is an error.
func selectFailed(records []*record, identifiers []identifier, e *encoder) ([]*record, error) {
	named := make(map[identifier]bool, len(identifiers))
	for _, id := range identifiers {
		named[id] = true
	}
	var failed []*record
	for _, r := range records {
		if named[identifier{e.partitionName(r.claim.partition), r.offset}] {
			failed = append(failed, r)
		}
	}
	if len(failed) != len(named) {
		return nil, fmt.Errorf("the answer names %d records that were not in the event", len(named)-len(failed))
	}
	return failed, nil
}
