package outbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/internal/eventrow"
)

// The limits of what is put.
const (
	// MaxEvents is how many events one Put takes.
	MaxEvents = 1000
	// MaxEvent is the size of an event, attributes and data, in bytes. A record of Kafka holds 1 MiB by default, and needs
	// some of it for itself.
	MaxEvent = eventrow.MaxSize - 16<<10
	// MaxPut is the size of all events of a Put, in bytes.
	MaxPut = 16 << 20
)

// row is an event as it is put.
type row struct {
	eventrow.Row

	// lane stands for the topic and key: what has the same lane is published in its order. Texts that differ may have the
	// same one, which couples them and does no other harm.
	lane int64
}

// maxTopic is the length of a topic's name, in bytes.
const maxTopic = 249

// checkTopic returns an error when Kafka would not take a topic of this name.
func checkTopic(topic string) error {
	if topic == "" || topic == "." || topic == ".." || len(topic) > maxTopic || strings.ContainsFunc(topic, isForeign) {
		return &InvalidError{Topic: topic[:min(len(topic), maxTopic)], Reason: "is no name of a topic: 1 to 249 of a-z, A-Z, 0-9, '.', '_' and '-'"}
	}
	return nil
}

// isForeign tells whether names of topics must not have a character.
func isForeign(r rune) bool {
	letter := ('a' <= r && r <= 'z') || ('A' <= r && r <= 'Z') || ('0' <= r && r <= '9')
	return !letter && r != '.' && r != '_' && r != '-'
}

// encode checks events against the limits.
func (o *Options) encode(topic string, events []event.Event) ([]row, error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	if len(o.Topics) > 0 && !slices.Contains(o.Topics, topic) {
		return nil, &InvalidError{Topic: topic, Reason: "is not in Options.Topics"}
	}
	if len(events) == 0 || len(events) > MaxEvents {
		return nil, &InvalidError{Topic: topic, Reason: fmt.Sprintf("%d events, it must be 1 to %d", len(events), MaxEvents)}
	}
	rows, size := make([]row, len(events)), 0
	for i, e := range events {
		encoded, err := encodeEvent(e)
		if err != nil {
			return nil, &InvalidError{Topic: topic, ID: eventrow.ID(e), Reason: err.Error()}
		}
		rows[i] = row{Row: encoded, lane: laneOf(topic, e)}
		size += encoded.Size()
	}
	if size > MaxPut {
		return nil, &InvalidError{Topic: topic, Reason: fmt.Sprintf("events of %d bytes, they may have %d", size, MaxPut)}
	}
	return rows, nil
}

func encodeEvent(e event.Event) (eventrow.Row, error) {
	encoded, err := eventrow.Encode(e)
	switch {
	case err != nil:
		return eventrow.Row{}, err
	case e.Time().IsZero():
		return eventrow.Row{}, errors.New("has no time")
	case encoded.Size() > MaxEvent:
		return eventrow.Row{}, fmt.Errorf("%d bytes, an event may have %d", encoded.Size(), MaxEvent)
	}
	return encoded, nil
}

// laneOf returns the lane of an event. One without a key has a lane of its own.
func laneOf(topic string, e event.Event) int64 {
	sum := eventrow.Sum(topic, "event", e.Source(), e.ID())
	if key, ok := kafkabinding.PartitionKey(e); ok {
		sum = eventrow.Sum(topic, "key", string(key))
	}
	return int64(binary.BigEndian.Uint64(sum)) //nolint:gosec // all 64 bits are wanted
}

// shards is how many parts the lanes are divided into; the tables have as many.
const shards = 8

func shardOf(lane int64) int { return int(lane & (shards - 1)) }
