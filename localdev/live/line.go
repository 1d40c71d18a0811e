package live

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/millrace/millrace/cloudevents/schemas"
	"github.com/millrace/millrace/localdev/mail"
	"github.com/millrace/millrace/localdev/webhook"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// The kinds of lines.
const (
	kindOutcome = "outcome"
	kindMail    = "mail"
	kindWebhook = "webhook"
	kindText    = "text"
)

// line is one thing that happened. Its texts are copies.
type line struct {
	Kind string    `json:"kind"`
	Time time.Time `json:"time"`
	// Correlation is the whole correlation id.
	Correlation string `json:"correlationid,omitzero"`
	// Event and Type are the id and the type of the event; of a mail or webhook, Event is that of the event it delivers.
	Event string `json:"event,omitzero"`
	Type  string `json:"type,omitzero"`
	// About is the event's subject, or who a mail or webhook is for.
	About    string `json:"about,omitzero"`
	Function string `json:"function,omitzero"`
	Record   string `json:"record,omitzero"`
	Outcome  string `json:"outcome,omitzero"`
	Attempt  int    `json:"attempt,omitzero"`
	// Took is how long an attempt took, nil where that is not known. For a mail or webhook it is the time since the event that the chain began with,
	// whose type is Since; nil where that is not known.
	Took    *milliseconds `json:"ms,omitzero"`
	Since   string        `json:"since,omitzero"`
	Emitted []named       `json:"emitted,omitzero"`
	Error   string        `json:"error,omitzero"`
	// Retry is when the next attempt is due.
	Retry   milliseconds `json:"retryMs,omitzero"`
	Subject string       `json:"subject,omitzero"`

	verdict function.Verdict
	// passedBy says that the event is not the function's business.
	passedBy bool
	// causation is the id of the event that caused this one, published the time of its record.
	causation string
	published time.Time
}

// named is an event that was published. Behind some doors it is only known that there is one.
type named struct {
	ID   string `json:"id,omitzero"`
	Type string `json:"type,omitzero"`
}

// maxText bounds each text of a line, in bytes: what is shown comes from whoever may write to a topic.
const maxText = 512

func outcomeLine(o *pipeline.Outcome, now time.Time) line {
	l := line{
		Kind: kindOutcome, Time: now, Function: o.Function, Record: o.Record.String(), Outcome: o.Verdict.String(),
		Attempt: o.Attempt, Retry: inMilliseconds(o.After),
		verdict: o.Verdict, published: o.Record.Timestamp,
	}
	if o.Took > 0 {
		l.Took = new(inMilliseconds(o.Took))
	}
	if o.Err != nil {
		l.passedBy = errors.Is(o.Err, function.ErrPassedBy)
		l.Error = cut(o.Err.Error())
	}
	if o.Event.Context == nil {
		l.About = cut(string(o.Record.Key))
		return l
	}
	l.Event, l.Type, l.About = cut(o.Event.ID()), cut(o.Event.Type()), cut(o.Event.Subject())
	l.Correlation = l.Event
	if id, ok := o.Event.Extensions()[function.CorrelationID].(string); ok && id != "" {
		l.Correlation = cut(id)
	}
	if id, ok := o.Event.Extensions()[function.CausationID].(string); ok {
		l.causation = cut(id)
	}
	for _, e := range o.Emitted {
		l.Emitted = append(l.Emitted, named{ID: cut(e.ID()), Type: cut(e.Type())})
	}
	return l
}

func mailLine(m mail.Message) line {
	id, _, _ := strings.Cut(strings.Trim(m.Header.Get("Message-Id"), "<>"), "@")
	return line{
		Kind: kindMail, Time: m.Received, Event: cut(id), About: cut(strings.Join(m.To, ", ")), Subject: cut(m.Subject),
	}
}

func webhookLine(m webhook.Message) line {
	return line{
		Kind: kindWebhook, Time: m.Received, Event: cut(m.ID), Type: cut(m.Type), About: cut(m.Recipient), Subject: cut(m.Subject),
	}
}

// cut copies a text that may point into a fetch response, its first bytes if it is long.
func cut(s string) string { return strings.Clone(strings.ToValidUTF8(s[:min(len(s), maxText)], "?")) }

// reason is why it ended so, without the word that says how.
func (l *line) reason() string {
	if l.Function == "" && l.verdict == function.Dropped {
		return "no function takes this type"
	}
	return strings.TrimPrefix(l.Error, l.Outcome+": ")
}

type milliseconds float64

func inMilliseconds(d time.Duration) milliseconds {
	return milliseconds(float64(d.Round(time.Microsecond)) / float64(time.Millisecond))
}

// shortType is the name that people know: "OrderCreated".
func shortType(name string) string {
	if t, ok := schemas.Lookup(name); ok {
		return t.Envelope
	}
	return name
}

// outputs says which types a function reads and emits. What it is told of its own outputs is no news.
type outputs map[string][]string

func outputsOf(specs []function.Spec) outputs {
	o := outputs{}
	for _, s := range specs {
		o[s.Name] = s.Emits
	}
	return o
}

// isNews is false for what passes somebody by as it should: an event that is not the function's business, one of the
// catalogue that no function of a group takes, for another group does, and one of a type that the function emits itself.
func (o outputs) isNews(l *line) bool {
	if l.passedBy {
		return false
	}
	if l.Function == "" && l.verdict == function.Dropped {
		_, known := schemas.Lookup(l.Type)
		return !known
	}
	return l.verdict != function.Done || len(l.Emitted) > 0 || !slices.Contains(o[l.Function], l.Type)
}
