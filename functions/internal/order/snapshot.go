package order

import (
	"errors"
	"fmt"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/runtime/function"
)

// SnapshotFormat is the form of snapshots, and written into each. Whoever changes what Order or a snapshot means raises it:
// snapshots of another format are passed over, and the facts read instead.
const SnapshotFormat = 1

// maxSnapshotSize is more than one fact of each kind takes.
const maxSnapshotSize = 8 * MaxFactSize

// ErrSnapshot says that data is no snapshot of this order in this format. The order can be had from its facts.
var ErrSnapshot = errors.New("no snapshot of this order in this format, its facts must be applied")

var (
	errSnapshotSize    = fmt.Errorf("it has more than %d bytes", maxSnapshotSize)
	errSnapshotFormat  = fmt.Errorf("its format is not %d", SnapshotFormat)
	errSnapshotVersion = errors.New("its version does not fit its facts")
)

// snapshot is an Order as JSON.
type snapshot struct {
	Format  int            `json:"format"`
	Version int64          `json:"version"`
	Facts   []snapshotFact `json:"facts"`
}

// snapshotFact is a fact that the order holds.
type snapshotFact struct {
	Type string         `json:"type"`
	Data jsontext.Value `json:"data"`
}

// Snapshot returns the order as JSON, for [Restore]: a short cut past its facts, which may be deleted at any time. An order
// that is not created has none.
func (o Order) Snapshot() ([]byte, error) {
	s := snapshot{Format: SnapshotFormat, Version: o.Version}
	for _, told := range o.told() {
		data, err := json.Marshal(told)
		if err != nil {
			return nil, fmt.Errorf("snapshot of order %s, %s: %w", o.ID, told.EventType(), err)
		}
		s.Facts = append(s.Facts, snapshotFact{Type: told.EventType(), Data: data})
	}
	if len(s.Facts) == 0 {
		return nil, fmt.Errorf("snapshot of order %s: %w", o.ID, errNotCreated)
	}
	return json.Marshal(s)
}

// told returns the facts that the order holds, in the order of its life.
func (o Order) told() []function.Payload {
	var facts []function.Payload
	for _, told := range []function.Payload{
		o.Created, o.Paid, o.ProcessingStarted, o.Shipped, o.Delivered, o.Cancelled, o.Refunded,
	} {
		if told.AggregateID() != "" {
			facts = append(facts, told)
		}
	}
	return facts
}

// Restore returns the order id as it was when [Order.Snapshot] wrote data; facts of later versions are to be applied to it.
// Anything else is an error that is [ErrSnapshot].
func Restore(id string, data []byte) (Order, error) {
	o, err := restore(id, data)
	if err != nil {
		return Order{}, fmt.Errorf("order %s: %w: %w", id, ErrSnapshot, err)
	}
	return o, nil
}

func restore(id string, data []byte) (Order, error) {
	if len(data) > maxSnapshotSize {
		return Order{}, errSnapshotSize
	}
	var s snapshot
	if err := json.Unmarshal(data, &s, json.RejectUnknownMembers(true)); err != nil {
		return Order{}, err
	}
	if s.Format != SnapshotFormat {
		return Order{}, errSnapshotFormat
	}
	o := New(id)
	for _, stored := range s.Facts {
		told, err := Decode(stored.Type, stored.Data)
		if err != nil {
			return Order{}, err
		}
		if o, err = o.Apply(told); err != nil {
			return Order{}, err
		}
	}
	if o.Version == 0 || s.Version < o.Version || len(o.told()) != len(s.Facts) {
		return Order{}, errSnapshotVersion
	}
	o.Version = s.Version
	return o, nil
}
