package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/template"
)

// batches prints what becomes of batches, and what functions write. Its methods may be called concurrently.
type batches struct {
	json bool
	// failed gets the first error of out.
	failed chan error

	mu  sync.Mutex
	out io.Writer
}

func (b *batches) print(line []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, err := b.out.Write(line); err != nil {
		select {
		case b.failed <- err:
		default: // it is known
		}
	}
}

func (b *batches) object(line any) {
	encoded, err := text.AppendJSONLine(nil, line)
	if err != nil {
		panic(fmt.Sprintf("a line that is no JSON: %v", err))
	}
	b.print(encoded)
}

// ignoreClosedPipe is nil for the end of whoever read the output.
func ignoreClosedPipe(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return nil
	}
	return err
}

// polledJSON is one mapping that is polled.
type polledJSON struct {
	Function string `json:"function"`
	Topic    string `json:"topic"`
	Group    string `json:"group,omitzero"`
	Start    string `json:"start"`
}

type triggerStartedJSON struct {
	Kind      string       `json:"kind"`
	Template  string       `json:"template"`
	Kafka     []string     `json:"kafka"`
	Functions []polledJSON `json:"functions"`
}

// started says what is polled.
func (b *batches) started(file *stack.File, brokers []string, functions []stack.Function) {
	line := triggerStartedJSON{Kind: "started", Template: file.Path, Kafka: brokers}
	var told strings.Builder
	fmt.Fprintf(&told, "\n  Template  %s\n  Kafka     %s\n\n", text.Escaped(file.Path), text.Escaped(joined(brokers)))
	table := tabwriter.NewWriter(&told, 0, 0, 2, ' ', 0)
	for _, f := range functions {
		for _, m := range f.Enabled() {
			line.Functions = append(line.Functions, polledJSON{f.Label, m.Topic, m.Group, string(m.Start)})
			fmt.Fprintf(table, "  %s\treads %s\tas %s\tfrom %s or its commits\tup to %d in %s\n",
				f.Label, text.Escaped(m.Topic), group(&m), m.Start, m.BatchSize, m.Window)
		}
	}
	_ = table.Flush()
	if b.json {
		b.object(line)
		return
	}
	fmt.Fprintf(&told, "\n  Ctrl-C ends.\n\n%-12s  %-22s  %7s  %-36s  %9s  %s\n", "TIME", "FUNCTION", "RECORDS", "FROM", "TOOK", "ANSWER")
	b.print([]byte(told.String()))
}

func group(m *template.Mapping) string {
	if m.Group == "" {
		return "a group of its own"
	}
	return "group " + text.Escaped(m.Group)
}

// ending says what Ctrl-C did.
func (b *batches) ending() {
	if !b.json {
		b.print([]byte("\nEnding: what runs may finish, what is done is committed. Ctrl-C again kills.\n"))
	}
}

type environmentJSON struct {
	Kind        string   `json:"kind"`
	Function    string   `json:"function"`
	Environment []string `json:"environment"`
}

// environment says what to export for a program that is started by hand.
func (b *batches) environment(function string, variables []string) {
	if b.json {
		b.object(environmentJSON{"environment", function, variables})
		return
	}
	told := fmt.Appendf(nil, "\nTo run %s under a debugger, in another shell:\n\n", function)
	for _, v := range variables {
		name, value, _ := strings.Cut(v, "=")
		told = fmt.Appendf(told, "  export %s=%s\n", name, quoted(value))
	}
	b.print(append(told, "  dlv debug --build-flags='-tags=lambda.norpc' ./…/bootstrap, or run it as it is\n"...))
}

// quoted is a text that a shell takes as it is.
func quoted(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

type batchJSON struct {
	Kind      string      `json:"kind"`
	Time      time.Time   `json:"time"`
	Function  string      `json:"function"`
	Topic     string      `json:"topic"`
	Request   string      `json:"requestId,omitzero"`
	Records   []rangeJSON `json:"records"`
	Count     int         `json:"count"`
	Calls     int         `json:"calls,omitzero"`
	Failed    int         `json:"failed,omitzero"`
	Took      float64     `json:"ms,omitzero"`
	Delay     float64     `json:"delayMs,omitzero"`
	Condition string      `json:"condition,omitzero"`
	Error     string      `json:"error,omitzero"`
}

type rangeJSON struct {
	Partition int32 `json:"partition"`
	First     int64 `json:"first"`
	Last      int64 `json:"last"`
}

// batch shows what became of a batch.
func (b *batches) batch(f *stack.Function, m *template.Mapping, e trigger.Event) {
	now := time.Now()
	if b.json {
		b.object(batchLine(f, m, &e, now))
		return
	}
	said := answer(m, &e)
	if said == "" {
		return
	}
	took := ""
	if e.Kind == trigger.Answered {
		took = brief(e.Duration)
	}
	line := fmt.Appendf(nil, "%s  %-22s  %7d  %-36s  %9s  ", now.Local().Format("15:04:05.000"), //nolint:gosmopolitan // for who reads it
		f.Label, e.Count, where(m.Topic, e.Records), took)
	b.print(append(text.AppendEscaped(line, said), '\n'))
}

func batchLine(f *stack.Function, m *template.Mapping, e *trigger.Event, now time.Time) batchJSON {
	line := batchJSON{
		Kind: string(e.Kind), Time: now, Function: f.Label, Topic: m.Topic, Request: e.RequestID, Count: e.Count, Calls: e.Calls,
		Failed: e.Failed, Took: milliseconds(e.Duration), Delay: milliseconds(e.Delay), Condition: e.Condition,
	}
	for _, r := range e.Records {
		line.Records = append(line.Records, rangeJSON(r))
	}
	if e.Err != nil {
		line.Error = e.Err.Error()
	}
	return line
}

// where is "order-events 0@42-57 1@3".
func where(topic string, records []trigger.Range) string {
	var b strings.Builder
	b.WriteString(text.Escaped(topic))
	for _, r := range records {
		fmt.Fprintf(&b, " %d@%d", r.Partition, r.First)
		if r.Last != r.First {
			fmt.Fprintf(&b, "-%d", r.Last)
		}
	}
	return b.String()
}

type outputJSON struct {
	Kind     string         `json:"kind"`
	Function string         `json:"function"`
	Line     jsontext.Value `json:"line,omitzero"`
	Text     string         `json:"text,omitzero"`
}

// output shows a line that a function wrote, but metrics: they are for CloudWatch.
func (b *batches) output(f *stack.Function, line []byte) {
	line = bytes.TrimRight(line, "\r\n")
	switch {
	case len(line) == 0 || stack.IsMetrics(line):
	case !b.json:
		b.print(append(text.AppendEscaped(fmt.Appendf(nil, "%12s  %-22s  | ", "", f.Label), string(line)), '\n'))
	case line[0] == '{' && jsontext.Value(line).IsValid():
		b.object(outputJSON{Kind: "log", Function: f.Label, Line: line})
	default:
		b.object(outputJSON{Kind: "log", Function: f.Label, Text: string(line)})
	}
}

// brief is a duration as a person reads it.
func brief(d time.Duration) string {
	switch {
	case d >= time.Second:
		return d.Round(100 * time.Millisecond).String()
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Microsecond).String()
}

func joined(brokers []string) string { return strings.Join(brokers, ",") }

// counted is "1 function", "2 functions".
func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
