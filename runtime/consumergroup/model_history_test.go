package consumergroup_test

import (
	"fmt"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"github.com/millrace/millrace/runtime/function"
)

// history is all that is chosen of a run: settings, records with what their handlers do, and what befalls the members.
type history struct {
	settings settings
	records  []deed
	actions  []action
}

type settings struct {
	Partitions  int32
	Workers     int
	Window      int
	Attempts    int
	Order       function.Order
	Eager       bool
	ExactlyOnce bool
	// Static gives members a lasting name and transactional id.
	Static   bool
	Circuits bool
	Backoff  time.Duration
	Interval time.Duration
	Session  time.Duration
	Drain    time.Duration
}

// deed is a record, and what its handler does.
type deed struct {
	partition int32
	key       string // "" = null
	// late records are written by the action "produce".
	late bool
	// takes is how long a call takes; heeds says whether it ends with its context.
	takes time.Duration
	heeds bool
	// fails is how many calls fail before one does not, always = each does.
	fails int
	kind  string
	// down is until when, from the start of the history, a dependency is unavailable.
	down time.Duration
}

const always = 1 << 20

// The kinds of deeds.
const (
	plain     = "plain"
	panics    = "panics"
	asksLater = "asks for a retry later"
	permanent = "permanent"
	drops     = "drops"
)

func (d *deed) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d/%q", d.partition, d.key)
	if d.kind != plain {
		b.WriteString(" " + d.kind)
	}
	switch {
	case d.fails == always:
		b.WriteString(" fails always")
	case d.fails > 0:
		fmt.Fprintf(&b, " fails %d times", d.fails)
	}
	if d.takes > 0 {
		fmt.Fprintf(&b, " takes %s", d.takes)
		if !d.heeds {
			b.WriteString(" heedlessly")
		}
	}
	if d.down > 0 {
		fmt.Fprintf(&b, " down until %s", d.down)
	}
	if d.late {
		b.WriteString(" late")
	}
	return b.String()
}

// action is something that happens, some time after the action before.
type action struct {
	after time.Duration
	what  string
	// slot is the member that it happens to.
	slot int
	// lasts is for how long.
	lasts time.Duration
	fault brokerFault
	count int
	trap  trap
	// to is where an operator sets the offset of each partition, in percent of its records; beyond 100 it is deleted.
	to int
}

// The actions.
const (
	starts   = "start"
	stops    = "stop"
	crashes  = "crash"
	silences = "silence"
	cuts     = "cut"
	faults   = "fault"
	traps    = "trap"
	leaders  = "move leaders"
	moves    = "move coordinators"
	resets   = "reset"
	produces = "produce"
)

func (a *action) String() string {
	s := fmt.Sprintf("+%s %s", a.after, a.what)
	switch a.what {
	case starts, stops, crashes:
		s += fmt.Sprintf(" %d", a.slot)
	case silences, cuts:
		s += fmt.Sprintf(" %d for %s", a.slot, a.lasts)
	case faults:
		s += fmt.Sprintf(" %s of %s, %d times", a.fault.err.Message, a.fault.key.Name(), a.count)
	case traps:
		s += fmt.Sprintf(" %d: %s of %s", a.slot, a.trap.kind, a.trap.key.Name())
		if a.trap.kind == lateRequest {
			s += fmt.Sprintf(" by %s", a.trap.delay)
		}
	case resets:
		s += fmt.Sprintf(" to %d%%", a.to)
	}
	return s
}

func (h *history) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%+v\n", h.settings)
	for i := range h.records {
		fmt.Fprintf(&b, "  record %d: %s\n", i, &h.records[i])
	}
	for i := range h.actions {
		fmt.Fprintf(&b, "  %s\n", &h.actions[i])
	}
	return b.String()
}

// brokerFault is an answer that a broker may give.
type brokerFault struct {
	key kmsg.Key
	err *kerr.Error
}

var brokerFaults = []brokerFault{
	{kmsg.OffsetCommit, kerr.NotCoordinator}, {kmsg.OffsetCommit, kerr.CoordinatorLoadInProgress},
	{kmsg.OffsetCommit, kerr.RequestTimedOut}, {kmsg.OffsetFetch, kerr.NotCoordinator},
	{kmsg.OffsetFetch, kerr.CoordinatorLoadInProgress}, {kmsg.Heartbeat, kerr.NotCoordinator},
	{kmsg.Heartbeat, kerr.CoordinatorNotAvailable}, {kmsg.JoinGroup, kerr.CoordinatorNotAvailable},
	{kmsg.JoinGroup, kerr.NotCoordinator}, {kmsg.SyncGroup, kerr.NotCoordinator}, {kmsg.SyncGroup, kerr.RebalanceInProgress},
	{kmsg.Fetch, kerr.NotLeaderForPartition}, {kmsg.Fetch, kerr.UnknownLeaderEpoch}, {kmsg.ListOffsets, kerr.NotLeaderForPartition},
	{kmsg.Produce, kerr.NotLeaderForPartition}, {kmsg.Produce, kerr.NotEnoughReplicasAfterAppend},
	{kmsg.Produce, kerr.NotEnoughReplicas}, {kmsg.InitProducerID, kerr.ConcurrentTransactions},
	{kmsg.InitProducerID, kerr.NotCoordinator}, {kmsg.AddPartitionsToTxn, kerr.ConcurrentTransactions},
	{kmsg.AddOffsetsToTxn, kerr.CoordinatorNotAvailable}, {kmsg.TxnOffsetCommit, kerr.NotCoordinator},
	{kmsg.TxnOffsetCommit, kerr.CoordinatorLoadInProgress}, {kmsg.EndTxn, kerr.NotCoordinator}, {kmsg.EndTxn, kerr.ConcurrentTransactions},
}

var trapped = []kmsg.Key{
	kmsg.OffsetCommit, kmsg.OffsetFetch, kmsg.Heartbeat, kmsg.JoinGroup, kmsg.SyncGroup, kmsg.LeaveGroup, kmsg.Fetch, kmsg.Produce,
	kmsg.InitProducerID, kmsg.AddPartitionsToTxn, kmsg.AddOffsetsToTxn, kmsg.TxnOffsetCommit, kmsg.EndTxn,
}

const slots = 3

// histories generates them. They shrink to fewer records, fewer actions, and healthy ones.
func histories() *rapid.Generator[*history] {
	return rapid.Custom(func(t *rapid.T) *history {
		h := &history{settings: drawSettings(t)}
		h.records = rapid.SliceOfN(rapid.Custom(func(t *rapid.T) deed { return drawDeed(t, h.settings.Partitions) }), 1, 120).Draw(t, "records")
		h.actions = rapid.SliceOfN(rapid.Custom(drawAction), 0, 12).Draw(t, "actions")
		return h
	})
}

func drawSettings(t *rapid.T) settings {
	return settings{
		Partitions:  rapid.Int32Range(1, 3).Draw(t, "partitions"),
		Workers:     rapid.IntRange(1, 16).Draw(t, "workers"),
		Window:      rapid.SampledFrom([]int{1000, 50, 5, 1}).Draw(t, "window"),
		Attempts:    rapid.IntRange(1, 4).Draw(t, "attempts"),
		Order:       rapid.SampledFrom([]function.Order{function.ByKey, function.ByPartition, function.Unordered}).Draw(t, "order"),
		Eager:       rapid.Bool().Draw(t, "eager"),
		ExactlyOnce: rapid.Bool().Draw(t, "exactly once"),
		Static:      rapid.Bool().Draw(t, "static"),
		Circuits:    rapid.Bool().Draw(t, "circuits"),
		Backoff:     milliseconds(t, "backoff", 100, 3000),
		Interval:    milliseconds(t, "commit interval", 100, 5000),
		Session:     milliseconds(t, "session timeout", 6000, 15_000),
		Drain:       milliseconds(t, "drain", 0, 8000),
	}
}

func milliseconds(t *rapid.T, label string, from, to int) time.Duration {
	return time.Duration(rapid.IntRange(from, to).Draw(t, label)) * time.Millisecond
}

// oneIn draws true in about one of n cases, and shrinks to false.
func oneIn(t *rapid.T, n int, label string) bool { return rapid.IntRange(0, n-1).Draw(t, label) == n-1 }

func drawDeed(t *rapid.T, partitions int32) deed {
	d := deed{
		partition: rapid.Int32Range(0, partitions-1).Draw(t, "partition"),
		key:       rapid.SampledFrom([]string{"a", "b", "c", "d", "e", "f", ""}).Draw(t, "key"),
		kind:      plain,
		heeds:     true,
		late:      oneIn(t, 4, "late"),
	}
	if oneIn(t, 2, "takes long") {
		d.takes = milliseconds(t, "takes", 1, 1000)
	}
	if oneIn(t, 15, "takes very long") {
		d.takes = milliseconds(t, "takes", 1000, 20_000)
		d.heeds = rapid.Bool().Draw(t, "heeds")
	}
	if oneIn(t, 5, "fails") {
		d.fails = rapid.IntRange(1, 5).Draw(t, "times")
		d.kind = rapid.SampledFrom([]string{plain, panics, asksLater}).Draw(t, "kind")
	}
	if oneIn(t, 15, "fails always") {
		d.fails = always
	}
	if oneIn(t, 20, "special") {
		d.kind = rapid.SampledFrom([]string{drops, permanent}).Draw(t, "kind")
	}
	if oneIn(t, 15, "down") {
		d.down = milliseconds(t, "down until", 1, 40_000)
	}
	return d
}

func drawAction(t *rapid.T) action {
	a := action{
		after: milliseconds(t, "after", 0, 15_000),
		what: rapid.SampledFrom([]string{starts, stops, produces, starts, crashes, crashes, silences, cuts, faults, faults, traps, traps, traps,
			leaders, moves, resets}).Draw(t, "action"),
	}
	switch a.what {
	case starts, stops, crashes:
		a.slot = rapid.IntRange(0, slots-1).Draw(t, "slot")
	case silences, cuts:
		a.slot = rapid.IntRange(0, slots-1).Draw(t, "slot")
		a.lasts = milliseconds(t, "lasts", 1, 40_000)
	case faults:
		a.fault = rapid.SampledFrom(brokerFaults).Draw(t, "fault")
		a.count = rapid.IntRange(1, 5).Draw(t, "count")
	case traps:
		a.slot = rapid.IntRange(0, slots-1).Draw(t, "slot")
		a.trap.key = rapid.SampledFrom(trapped).Draw(t, "key")
		a.trap.kind = rapid.SampledFrom([]string{lostRequest, lostAnswer, lateRequest}).Draw(t, "kind")
		if a.trap.kind == lateRequest {
			a.trap.delay = milliseconds(t, "delay", 10, 20_000)
		}
	case resets:
		a.to = rapid.IntRange(0, 120).Draw(t, "to")
	}
	return a
}
