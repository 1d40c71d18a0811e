package msktrigger

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

const (
	// maxPayload is how large an event may be, in bytes. Lambda's own limit is 6 MB.
	maxPayload = 8 << 20
	// maxTopic is how long the name of a topic may be, by Kafka's rules.
	maxTopic = 249
)

// What is wrong with an event that is JSON.
var (
	errTooLarge  = fmt.Errorf("is larger than %d MiB", maxPayload>>20)
	errMore      = errors.New("is followed by something else")
	errMissing   = errors.New("is missing")
	errTwice     = errors.New("stands twice")
	errSource    = errors.New("must be aws:kafka or SelfManagedKafka: the function was invoked by something else than a Kafka trigger")
	errName      = errors.New("has a list that is not named by topic, hyphen and partition")
	errElsewhere = errors.New("disagrees with the name of the list")
	errInteger   = errors.New("must be a whole number")
	errRange     = errors.New("is out of range")
	errBase64    = errors.New("is not base64")
	errBytes     = errors.New("must hold lists of numbers from −128 to 255")
)

// Decode reads the event of a Kafka trigger. The batch keeps nothing of the payload. An error is a [*DecodeError], and means
// that the whole event cannot be understood; the package's documentation says when that is so. Decode may be called from many
// goroutines at once.
func Decode(payload []byte) (*Batch, error) { return decode(payload, &memory{}) }

// decode makes the batch of what m has.
func decode(payload []byte, m *memory) (*Batch, error) {
	d := decoder{scanner: scanner{text: payload}, batch: &Batch{}, memory: m}
	d.where.Index, d.where.Offset = -1, -1
	if err := d.event(); err != nil {
		return nil, d.fault(err)
	}
	d.batch.sort()
	return d.batch, nil
}

// decoder reads one event.
type decoder struct {
	scanner

	batch *Batch
	// where is what is being read.
	where DecodeError
	// sourced and listed say that the event has named its source and its records.
	sourced, listed bool

	// records and fields are those of the list and of the record that are being read.
	records []Record
	fields  []kafkabinding.Header
	// names are the names of members of records before, by their place.
	names []name
	// before are the headers of records before, by their place. The value of the header that was read last begins at named.
	before []field
	named  int
	// seen has a bit for each member that the record has shown, poison is why it cannot be handled.
	seen   uint
	poison *DecodeError

	memory *memory
}

// fault says where err was met.
func (d *decoder) fault(err error) *DecodeError {
	f := d.where
	f.At, f.Reason = d.at, err.Error()
	return &f
}

func (d *decoder) event() error {
	if len(d.text) > maxPayload {
		return errTooLarge
	}
	d.peek()
	if err := d.object(d.part); err != nil {
		return err
	}
	if d.peek(); d.at < len(d.text) {
		return errMore
	}
	if !d.sourced {
		d.where.Member = "eventSource"
		return errMissing
	}
	if !d.listed {
		d.where.Member = "records"
		return errMissing
	}
	return nil
}

// part reads a member of the event.
func (d *decoder) part(name []byte) (err error) {
	switch string(name) {
	case "eventSource":
		d.where.Member = "eventSource"
		err = d.source()
	case "records":
		d.where.Member = "records"
		err = d.lists()
	default:
		err = d.skip(maxDepth)
	}
	if err == nil {
		d.where.Member = ""
	}
	return err
}

func (d *decoder) source() error {
	if d.sourced {
		return errTwice
	}
	d.sourced = true
	name, err := d.string()
	if err != nil {
		return err
	}
	switch string(name) {
	case "aws:kafka", "SelfManagedKafka", "aws:SelfManagedKafka":
		return nil
	}
	return errSource
}

func (d *decoder) lists() error {
	if d.listed {
		return errTwice
	}
	d.listed = true
	if d.null() {
		return nil
	}
	return d.object(d.list)
}

// list reads the records of one partition.
func (d *decoder) list(name []byte) error {
	p, ok := partitionOf(string(name))
	if !ok {
		return errName
	}
	d.where.Partition, d.where.Member = p.Name, ""
	d.names = d.names[:0] // what a list says of itself is not true of the next
	d.records = d.memory.records.room(1, pieceRecords)
	if !d.null() {
		if err := d.array(func() error { return d.record(&p) }); err != nil {
			return err
		}
	}
	p.Records = d.memory.records.keep(d.records)
	d.batch.Partitions = append(d.batch.Partitions, p)
	d.where.Partition, d.where.Member = "", "records"
	return nil
}

// partitionOf takes the name of a list apart: a topic as Kafka allows it, a hyphen, and a number as it is written.
func partitionOf(name string) (Partition, bool) {
	at := len(name) - 1
	for at >= 0 && digit(name[at]) {
		at--
	}
	if at <= 0 || at > maxTopic || name[at] != '-' {
		return Partition{}, false
	}
	n, err := strconv.ParseInt(name[at+1:], 10, 32)
	if err != nil || strconv.FormatInt(n, 10) != name[at+1:] {
		return Partition{}, false
	}
	for i := range at {
		if c := name[i]; !digit(c) && (c|0x20 < 'a' || c|0x20 > 'z') && c != '.' && c != '_' && c != '-' {
			return Partition{}, false
		}
	}
	return Partition{Name: name, Topic: name[:at], Number: int32(n)}, true
}
