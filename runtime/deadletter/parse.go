package deadletter

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

// ErrNotLetter says that a message is not a dead letter: it has no header dlq-original-topic.
var ErrNotLetter = errors.New("not a dead letter: no header " + HeaderTopic)

// Letter is a dead letter that was read. What its headers say was written by whoever may write to the dead letter topic.
type Letter struct {
	// Original is the record as it was, or empty where Lost.
	Original kafkabinding.Message
	Topic    string
	// Partition and Offset are -1 for an event that was never in a topic.
	Partition int32
	Offset    int64
	// Lost is set where bytes could not be had: of the records from Offset to LastOffset.
	Lost       bool
	LastOffset int64
	// Timestamp is the original's; zero where it is not known, as First and Last.
	Timestamp time.Time

	Reason string
	// Class is the kind of failure.
	Class string
	// Retries is how often the handler was called again after its first failure.
	Retries     int
	First, Last time.Time
	Service     Service
	Group       string
	// Replays is how often the letter was replayed.
	Replays int
	Stack   string
}

// HeaderError says which header of a dead letter is malformed.
type HeaderError struct {
	Header string
	Err    error
}

func (e *HeaderError) Error() string {
	return fmt.Sprintf("dead letter: header %s: %v", e.Header, e.Err)
}

// Unwrap returns what is wrong with the header.
func (e *HeaderError) Unwrap() error { return e.Err }

// Parse reads a dead letter. It shares the bytes of m. A message that is none is [ErrNotLetter]; a number or a time that
// is malformed is a [*HeaderError]. Headers behind the border that it does not know are passed over.
func Parse(m kafkabinding.Message) (Letter, error) {
	border := -1
	for i, h := range m.Headers {
		if string(h.Key) == HeaderTopic {
			border = i
		}
	}
	if border < 0 {
		return Letter{}, ErrNotLetter
	}
	l := Letter{
		Original:  kafkabinding.Message{Key: m.Key, Value: m.Value, Headers: m.Headers[:border:border]},
		Partition: -1,
		Offset:    -1,
	}
	for _, h := range m.Headers[border:] {
		if err := l.read(string(h.Key), strings.ToValidUTF8(string(h.Value), "?")); err != nil {
			return Letter{}, &HeaderError{Header: string(h.Key), Err: err}
		}
	}
	return l, nil
}

// read takes one of our headers.
func (l *Letter) read(name, value string) (err error) {
	switch name {
	case HeaderTopic:
		l.Topic = value
	case HeaderPartition:
		l.Partition, err = number[int32](value, -1)
	case HeaderOffset:
		l.Offset, err = number[int64](value, -1)
	case HeaderLastOffset:
		l.Lost = true
		l.LastOffset, err = number[int64](value, -1)
	case HeaderTimestamp:
		l.Timestamp, err = instant(value)
	case HeaderReason:
		l.Reason = value
	case HeaderClass:
		l.Class = value
	case HeaderRetries:
		l.Retries, err = number[int](value, 0)
	case HeaderFirst:
		l.First, err = instant(value)
	case HeaderLast:
		l.Last, err = instant(value)
	case HeaderService:
		l.Service.Name = value
	case HeaderVersion:
		l.Service.Version = value
	case HeaderGroup:
		l.Group = value
	case HeaderReplays:
		l.Replays, err = number[int](value, 0)
	case HeaderStack:
		l.Stack = value
	}
	return err
}

// number reads a decimal number that is not below least.
func number[T int | int32 | int64](value string, least T) (T, error) {
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || int64(T(n)) != n || T(n) < least {
		return 0, fmt.Errorf("must be a whole number from %d", least)
	}
	return T(n), nil
}

func instant(value string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, value)
	if err != nil {
		return time.Time{}, errors.New("must be an RFC 3339 time")
	}
	return t.UTC(), nil
}
