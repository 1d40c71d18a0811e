package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/spf13/cobra"

	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// invoke is the command that calls a function once.
type invoke struct {
	*app

	template templateFlags
	event    string
	brokers  string
	json     bool
}

func (a *app) invokeCommand() *cobra.Command {
	i := &invoke{app: a, template: templateFlags{app: a}}
	cmd := &cobra.Command{
		Use:   "invoke FUNCTION -e FILE",
		Short: "Call a function of a SAM template once, with an event from a file or from standard input",
		Long: `Call a function of a SAM template once: its program runs on this machine behind Lambda's interface. It is built first.

The event is one of the MSK trigger, as in functions/*/testdata/msk.json, or CloudEvents in JSON or JSON envelopes, one or
several: these become records of the function's topic.

The answer is printed, and what the function emits. With --kafka that is published instead. The function's log goes to
standard error. The exit code is 0 when all records are done, 1 when some were handed back or the function failed.`,
		Example: `  millrace invoke order-created -e functions/order-created/testdata/msk.json
  millrace invoke order-created -e functions/order-created/testdata/envelope.json --kafka 127.0.0.1:9092
  echo '{"eventId":"e-1","eventType":"OrderPaid",…}' | millrace invoke order-paid -e -
  millrace invoke order-created -e order.json --json | jq .emitted`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return i.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	i.template.register(flags)
	flags.StringVarP(&i.event, "event", "e", "", "file with the event, or - for standard input")
	flags.StringVar(&i.brokers, "kafka", "", "publish what is emitted, to these brokers: HOST:PORT joined by commas (default: print it)")
	flags.BoolVar(&i.json, "json", false, "print all as one JSON object")
	return cmd
}

func (i *invoke) run(ctx context.Context, name string) error {
	if i.event == "" {
		return &usageError{errors.New("--event names no file")}
	}
	f, file, err := i.selected(name)
	if err != nil {
		return err
	}
	payload, err := i.payload(ctx, f)
	if err != nil {
		return err
	}
	lookup, err := i.environment(ctx)
	if err != nil {
		return err
	}
	said := &said{live: i.live}
	s, err := stack.Open(ctx, file, []stack.Function{*f}, &stack.Options{
		Lookup: same(lookup), Variables: append(variables(), "AWS_SAM_LOCAL"), Prebuilt: i.template.prebuilt,
		Output: said.output, Invocation: said.invocation,
	})
	if err != nil {
		return err
	}
	result, err := s.Invoke(ctx, f.LogicalID, payload)
	err = errors.Join(err, s.Close()) // the log is whole then
	if err != nil {
		return err
	}
	return i.show(f, &result, said)
}

func (i *invoke) selected(name string) (*stack.Function, *stack.File, error) {
	file, err := i.template.load()
	if err != nil {
		return nil, nil, err
	}
	functions, err := file.Select(name)
	if err != nil {
		return nil, nil, err
	}
	return &functions[0], file, nil
}

// environment is this process's, without a cluster unless one is asked for: then the program prints what it emits.
func (i *invoke) environment(ctx context.Context) (function.Lookup, error) {
	if i.brokers == "" {
		return func(key string) (string, bool) {
			switch {
			case key == "AWS_SAM_LOCAL":
				return "true", true
			case strings.HasPrefix(key, "KAFKA_"):
				return "", false
			}
			return i.lookup(key)
		}, nil
	}
	kafka, err := i.kafka()
	if err != nil {
		return nil, err
	}
	return onCluster(i.lookup, kafka), stack.Check(ctx, kafka, nil)
}

func (i *invoke) kafka() (kafkaclient.Config, error) {
	return (&kafkaFlag{brokers: i.brokers}).config(i.lookup)
}

// live shows a line of the log as it is written.
func (i *invoke) live(line string) {
	if !i.json {
		fmt.Fprintln(i.stderr, text.Escaped(line))
	}
}

// said is what a function wrote during an invocation. Its methods may be called concurrently.
type said struct {
	live func(line string)

	mu      sync.Mutex
	log     []string
	emitted []emittedLine
}

// emittedLine is a line in which a program prints what it would publish.
type emittedLine struct {
	Topic      string         `json:"topic"`
	Event      jsontext.Value `json:"event,omitzero"`
	DeadLetter jsontext.Value `json:"deadLetter,omitzero"`
}

func (s *said) output(_ *stack.Function, line []byte) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) == 0 || stack.IsMetrics(line) {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var out emittedLine
	strict := json.RejectUnknownMembers(true)
	if json.Unmarshal(line, &out, strict, jsontext.AllowInvalidUTF8(true)) == nil && (out.Event != nil || out.DeadLetter != nil) {
		out.Event, out.DeadLetter = out.Event.Clone(), out.DeadLetter.Clone()
		s.emitted = append(s.emitted, out)
		return
	}
	s.add(string(line))
}

func (s *said) invocation(_ *stack.Function, e process.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.add(strings.ReplaceAll(e.String(), "\t", "  "))
}

func (s *said) add(line string) {
	s.log = append(s.log, line)
	s.live(line)
}

// invokedJSON is what --json prints.
type invokedJSON struct {
	Function   string         `json:"function"`
	Request    string         `json:"requestId"`
	Answer     jsontext.Value `json:"answer,omitzero"`
	HandedBack int            `json:"handedBack"`
	Error      *errorJSON     `json:"error,omitzero"`
	Published  []string       `json:"published,omitzero"`
	Emitted    []emittedLine  `json:"emitted"`
	Log        []string       `json:"log"`
	Took       float64        `json:"ms"`
	Init       float64        `json:"initMs"`
}

type errorJSON struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// show prints what an invocation led to, and returns what of it is not well.
func (i *invoke) show(f *stack.Function, r *process.Result, s *said) error {
	var (
		back int
		err  error
	)
	if r.Error == nil {
		back, err = handedBack(r.Payload)
	}
	shown, emitted := i.told(f, r, s), s.emitted
	shown.HandedBack = back
	if i.json {
		line, err := text.AppendJSONLine(nil, shown)
		if err != nil {
			return err
		}
		if _, err := i.stdout.Write(line); err != nil {
			return err
		}
	} else if err := i.print(shown, emitted); err != nil {
		return err
	}
	switch {
	case r.Error != nil:
		return fmt.Errorf("%s failed: %w", f.Label, r.Error)
	case err != nil:
		return fmt.Errorf("%s: %w", f.Label, err)
	case back > 0:
		return &hinted{
			err: fmt.Errorf("%s handed back %s", f.Label, counted(back, "record")), code: exitFailed,
			try: "see the log above; on Lambda they are sent again",
		}
	}
	return nil
}

func (i *invoke) told(f *stack.Function, r *process.Result, s *said) invokedJSON {
	shown := invokedJSON{
		Function: f.Label, Request: r.RequestID, Emitted: s.emitted, Log: s.log,
		Took: milliseconds(r.Duration), Init: milliseconds(r.Init),
	}
	if i.brokers != "" {
		shown.Published = strings.Split(i.brokers, ",")
	}
	if answer := jsontext.Value(r.Payload); r.Error == nil && answer.IsValid() {
		shown.Answer = answer
	}
	if r.Error != nil {
		shown.Error = &errorJSON{r.Error.Type, r.Error.Message}
	}
	return shown
}

// print shows it to a person.
func (i *invoke) print(shown invokedJSON, emitted []emittedLine) error {
	told := []byte("\nEmitted:\n")
	switch {
	case shown.Published != nil:
		told = fmt.Appendf(told, "  published to %s, if anything: millrace tail TOPIC --from -10 shows it\n", text.Escaped(i.brokers))
	case len(emitted) == 0:
		told = append(told, "  nothing\n"...)
	}
	for _, e := range emitted {
		told = e.append(told)
	}
	told = append(told, "\nAnswer:\n  "...)
	switch {
	case shown.Error != nil:
		told = text.AppendEscaped(told, "none, the function failed: "+shown.Error.Type)
	case shown.Answer == nil:
		told = append(told, "none"...)
	default:
		told = text.AppendEscaped(told, string(shown.Answer))
	}
	_, err := i.stdout.Write(append(told, '\n'))
	return err
}

// append shows what was emitted under its topic.
func (e *emittedLine) append(told []byte) []byte {
	what, value := "to ", e.Event
	if e.DeadLetter != nil {
		what, value = "dead letter to ", e.DeadLetter
	}
	told = text.AppendEscaped(append(append(told, "  "...), what...), e.Topic)
	value = value.Clone()
	if err := value.Indent(jsontext.WithIndentPrefix("    "), jsontext.WithIndent("  ")); err != nil {
		value = bytes.TrimSpace(value)
	}
	told = append(told, "\n    "...)
	for n, line := range strings.Split(string(value), "\n") {
		if n > 0 {
			told = append(told, '\n')
		}
		told = text.AppendEscaped(told, line)
	}
	return append(told, '\n')
}

// handedBack counts the records that an answer names. An answer that does not name them as AWS wants it is an error.
func handedBack(payload []byte) (int, error) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return 0, nil
	}
	var answer struct {
		Failures []struct {
			Identifier struct {
				Partition string `json:"partition"`
				Offset    int64  `json:"offset"`
			} `json:"itemIdentifier"`
		} `json:"batchItemFailures"`
	}
	if err := json.Unmarshal(payload, &answer); err != nil {
		return 0, fmt.Errorf("AWS would try the whole batch again, the answer is none of a Kafka trigger: %w", err)
	}
	return len(answer.Failures), nil
}
