package msktrigger

import "bytes"

// member is a member of a record that is read.
type member int

const (
	topic member = iota
	partition
	offset
	timestamp
	key
	value
	headers
	members // how many there are
)

var memberNames = [members]string{
	topic:     "topic",
	partition: "partition",
	offset:    "offset",
	timestamp: "timestamp",
	key:       "key",
	value:     "value",
	headers:   "headers",
}

// place is what every record must say of itself.
const place = 1<<topic | 1<<partition | 1<<offset

// memberOf returns members for a name that nobody reads.
func memberOf(name []byte) member {
	switch string(name) {
	case "topic":
		return topic
	case "partition":
		return partition
	case "offset":
		return offset
	case "timestamp":
		return timestamp
	case "key":
		return key
	case "value":
		return value
	case "headers":
		return headers
	}
	return members
}

// record reads a record into d.records.
func (d *decoder) record(p *Partition) error {
	d.where.Index, d.where.Offset = len(d.records), -1
	d.seen, d.poison = 0, nil
	d.records = append(d.records, Record{})
	r := &d.records[len(d.records)-1]
	r.Topic, r.Partition = p.Topic, p.Number
	if err := d.members(r); err != nil {
		return err
	}
	for m := topic; m <= offset; m++ {
		if d.seen&(1<<m) == 0 {
			d.where.Member = memberNames[m]
			return errMissing
		}
	}
	if d.poison != nil {
		d.poison.Offset = r.Offset
		r.Err = d.poison
	}
	d.where.Index, d.where.Offset = -1, -1
	return nil
}

// name is the name of a record's member, as the event has it: with quotes and colon.
type name struct {
	text   []byte
	member member
	// whole is the name with its value and the comma behind it, where that need not be read again in this list. Empty: it must be.
	whole []byte
}

// members reads the members of a record. An error is one that the whole event is refused for.
func (d *decoder) members(r *Record) error {
	if !d.byte('{') {
		return d.unless(errObject)
	}
	d.peek()
	if d.byte('}') {
		return nil
	}
	for i := 0; ; i++ {
		if d.repeats(i) {
			continue
		}
		start := d.at
		m, err := d.name(i)
		if err == nil && m != members {
			err = d.member(r, m)
		} else if err == nil {
			err = d.skip(maxDepth)
		}
		if err != nil {
			return err
		}
		if more, err := d.next('}'); !more || err != nil {
			return err
		}
		if m == topic || m == partition || m == members {
			d.names[i].whole = d.text[start:d.at]
		}
	}
}

// repeats passes over the i-th member of a record if it is as in the record before, and one that is the same for a whole list or that
// nobody reads.
func (d *decoder) repeats(i int) bool {
	if i >= len(d.names) {
		return false
	}
	before := &d.names[i]
	bit := uint(1) << before.member
	if len(before.whole) == 0 || d.seen&bit&place != 0 || !bytes.HasPrefix(d.text[d.at:], before.whole) {
		return false
	}
	d.seen |= bit
	d.at += len(before.whole)
	d.peek()
	return true
}

// name reads the name of the i-th member of a record. Most are as in the record before.
func (d *decoder) name(i int) (member, error) {
	if i == len(d.names) {
		d.names = append(d.names, name{})
	}
	before := &d.names[i]
	if len(before.text) > 0 && bytes.HasPrefix(d.text[d.at:], before.text) {
		d.at += len(before.text)
		d.peek()
		return before.member, nil
	}
	start := d.at
	said, err := d.string()
	if err != nil {
		return members, err
	}
	d.peek()
	if !d.byte(':') {
		return members, d.unless(errSyntax)
	}
	*before = name{text: d.text[start:d.at], member: memberOf(said)}
	d.peek()
	return before.member, nil
}

// member reads a member of a record.
func (d *decoder) member(r *Record, m member) error {
	d.where.Member = memberNames[m]
	twice := d.seen&(1<<m) != 0
	d.seen |= 1 << m
	start := d.at
	err := d.read(r, m)
	if err == nil && twice {
		err = errTwice
	}
	if err != nil && place&(1<<m) == 0 {
		d.poison = d.fault(err)
		d.at = start
		err = d.skip(maxDepth)
	}
	if err == nil {
		d.where.Member = ""
	}
	return err
}

func (d *decoder) read(r *Record, m member) (err error) {
	switch m {
	case topic:
		return d.topic(r)
	case partition:
		return d.partition(r)
	case offset:
		if r.Offset, err = d.integer(); err == nil && r.Offset < 0 {
			return errRange
		}
		d.where.Offset = r.Offset
	case timestamp:
		r.Timestamp, err = d.timestamp()
	case key:
		r.Key, err = d.base64(&d.memory.texts)
	case value:
		r.Value, err = d.base64(&d.memory.values)
	default:
		r.Headers, err = d.headers()
	}
	return err
}

func (d *decoder) topic(r *Record) error {
	name, err := d.string()
	if err == nil && string(name) != r.Topic {
		err = errElsewhere
	}
	return err
}

func (d *decoder) partition(r *Record) error {
	n, err := d.integer()
	if err == nil && n != int64(r.Partition) {
		err = errElsewhere
	}
	return err
}
