package stack

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/runtime/function"
)

// loose takes what programs that are not ours may write.
var loose = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// outcomeLine is a line of telemetry.OutcomeLog: what became of an attempt to handle a record.
//
//nolint:tagliatelle // The names are the log's.
type outcomeLine struct {
	Level     string `json:"level"`
	Message   string `json:"msg"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
	Event     string `json:"event_id"`
	Function  string `json:"function"`
	Group     string `json:"consumer_group"`
	// Attempt is in lines about outcomes only.
	Attempt *int   `json:"attempt"`
	Emitted int    `json:"emitted"`
	Type    string `json:"type"`
	Error   string `json:"error"`
	Reason  string `json:"reason"`
	After   string `json:"after"`
	Took    string `json:"took"`
}

// unaccepted is the message about a record that no function of a group takes.
const unaccepted = "no function of the group accepts this type: its records are passed by"

// verdicts tell what the messages of telemetry.OutcomeLog stand for.
var verdicts = map[string]function.Verdict{
	"done":               function.Done,
	"dropped on purpose": function.Dropped,
	unaccepted:           function.Dropped,
	"attempt failed, the record is tried again":               function.Retry,
	"the record waits":                                        function.Broken,
	"a dependency is down: records wait, no attempt is spent": function.Broken,
	"dead-lettered":                                           function.DeadLetter,
}

// parseOutcome reads a line about the outcome of an attempt. ok is false for any other line.
func parseOutcome(line []byte) (l outcomeLine, ok bool) {
	if !bytes.Contains(line, []byte(`"attempt":`)) || json.Unmarshal(line, &l, loose) != nil {
		return l, false
	}
	return l, l.Attempt != nil && l.Topic != ""
}

func (l *outcomeLine) level() slog.Level { return level(l.Level) }

// level reads the name of a level; what is none is info.
func level(name string) (l slog.Level) {
	_ = l.UnmarshalText([]byte(name))
	return l
}

// err is why an attempt did not succeed.
func (l *outcomeLine) err() error {
	switch {
	case l.Error != "":
		return errors.New(l.Error)
	case l.Reason != "":
		return errors.New(l.Reason)
	}
	return nil
}

// duration reads what slog made of a duration; what is none is 0.
func duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		return 0
	}
	return d
}

// logged is any line of a log in JSON.
type logged struct {
	level   slog.Level
	message string
	attrs   []slog.Attr
}

// maxAttrs bounds what is taken over from a line.
const maxAttrs = 64

// parseLogged reads a line of a log in JSON, its members in their order. Time and version are left off: who prints the
// line adds its own.
func parseLogged(line []byte) (logged, error) {
	var l logged
	members := jsontext.NewDecoder(bytes.NewReader(line), loose)
	if begin, err := members.ReadToken(); err != nil || begin.Kind() != '{' {
		return l, errors.New("not a JSON object")
	}
	for members.PeekKind() != '}' {
		name, err := members.ReadToken()
		if err != nil {
			return l, err
		}
		key := name.String()
		value, err := members.ReadValue()
		if err != nil {
			return l, err
		}
		l.member(key, value)
	}
	if _, err := members.ReadToken(); err != nil {
		return l, err
	}
	if _, err := members.ReadToken(); !errors.Is(err, io.EOF) {
		return l, errors.New("more than a JSON object")
	}
	return l, nil
}

func (l *logged) member(key string, value jsontext.Value) {
	said := string(value)
	if value.Kind() == '"' {
		_ = json.Unmarshal(value, &said, loose) // it is a string
	}
	switch key {
	case "level":
		l.level = level(said)
	case "msg":
		l.message = said
	case "time", "timestamp", "version":
	default:
		if len(l.attrs) < maxAttrs {
			l.attrs = append(l.attrs, slog.String(key, said))
		}
	}
}
