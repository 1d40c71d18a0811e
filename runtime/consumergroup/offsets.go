package consumergroup

import (
	"context"
	"time"
)

// urgentGap is the least time between two commits. It bounds what failing records, whose attempts are committed before
// the next one, ask of the coordinator.
const urgentGap = 10 * time.Millisecond

// offsets is the ledger without transactions: what a record led to is published before it is finished.
type offsets struct{ coordinator *coordinator }

func (o offsets) write(_ context.Context, _ []handled, snapshots []snapshot) []error {
	positions := make([]position, len(snapshots))
	for i := range snapshots {
		positions[i] = snapshots[i].position
	}
	// All claims of a member are of one session.
	return o.coordinator.commit(identityOf(snapshots[0].claim.current), positions)
}
