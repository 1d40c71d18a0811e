package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/millrace/millrace/localdev/records"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/runtime/pipeline"
)

// maxSilence is how long a tail that does not follow waits for records that the offsets promise but compaction or
// retention may have removed.
const maxSilence = 5 * time.Second

// tail is the command that shows a topic.
type tail struct {
	*app

	kafka  kafkaFlag
	from   string
	follow bool
	count  int
	json   bool
	raw    bool
}

func (a *app) tailCommand() *cobra.Command {
	t := &tail{app: a}
	cmd := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Show the records of a topic as they come",
		Long: "Show the records of a topic: time, partition@offset, key, type, id, correlation id and data. CloudEvents of both\n" +
			"modes and JSON envelopes are understood; of any other record the value is shown, and why it is no event.\n" +
			"Characters that a terminal would obey are escaped. Ctrl-C ends it.",
		Example: "  millrace tail notification-events\n" +
			"  millrace tail order-events --from -10 --follow=false\n" +
			"  millrace tail dead-letter-queue --from start --json | jq .headers",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), args[0]) },
	}
	t.kafka.register(cmd.Flags())
	cmd.Flags().StringVar(&t.from, "from", "end", "where to begin: start, end, or -N for the last N records of each partition")
	cmd.Flags().BoolVarP(&t.follow, "follow", "f", true, "wait for further records; --follow=false stops at what was there at the start")
	cmd.Flags().IntVar(&t.count, "count", 0, "stop after so many records (default: no limit)")
	cmd.Flags().BoolVar(&t.json, "json", false, "print a JSON object per record and line, with all headers and the whole value")
	cmd.Flags().BoolVar(&t.raw, "raw", false, "print data as it is, without escapes and in full")
	return cmd
}

// last checks the flags and says how many records of each partition --from asks for.
func (t *tail) last() (int64, error) {
	switch {
	case t.count < 0:
		return 0, fmt.Errorf("--count is %d, must be 1 or more", t.count)
	case t.json && t.raw:
		return 0, errors.New("--json and --raw exclude each other")
	}
	switch t.from {
	case "start":
		return records.All, nil
	case "end":
		return 0, nil
	}
	n, err := strconv.ParseInt(t.from, 10, 64)
	if err != nil || n >= 0 || -n < 0 {
		return 0, fmt.Errorf("--from is %q, must be start, end, or a number like -10", t.from)
	}
	return -n, nil
}

func (t *tail) run(ctx context.Context, topic string) error {
	last, err := t.last()
	if err != nil {
		return &usageError{err}
	}
	kafka, err := t.kafka.config(t.lookup)
	if err != nil {
		return err
	}
	client, err := records.Connect(ctx, kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	reader, err := client.Read(ctx, topic, last)
	if err != nil {
		return err
	}
	if t.follow {
		fmt.Fprintf(t.stderr, "Following %s from %s. Ctrl-C ends.\n", text.Escaped(topic), t.from)
	}
	shown, err := t.show(ctx, reader)
	switch {
	case t.follow && ctx.Err() != nil:
		return nil // that is how it ends
	case err != nil:
		return fmt.Errorf("tail %s: %w", topic, err)
	case shown == 0:
		return &hinted{
			code: exitNothing, err: fmt.Errorf("no records of %s from %s", topic, t.from),
			try: fmt.Sprintf("millrace tail %s --from start --follow=false", topic),
		}
	}
	return nil
}

// show prints until the end, or the count, is reached, and returns how many records it printed.
func (t *tail) show(ctx context.Context, reader *records.Reader) (shown int, err error) {
	for t.follow || !reader.CaughtUp() {
		found, err := t.next(ctx, reader)
		if err != nil || found == nil && !t.follow {
			return shown, err
		}
		if t.count > 0 {
			found = found[:min(len(found), t.count-shown)]
		}
		if err := t.print(found); err != nil {
			return shown, err
		}
		shown += len(found)
		if t.count > 0 && shown == t.count {
			break
		}
	}
	return shown, nil
}

// next returns some records; without --follow nil when nothing comes any more.
func (t *tail) next(ctx context.Context, reader *records.Reader) ([]pipeline.Record, error) {
	if t.follow {
		return reader.Next(ctx)
	}
	limited, cancel := context.WithTimeout(ctx, maxSilence)
	defer cancel()
	found, err := reader.Next(limited)
	if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return nil, nil
	}
	return found, err
}

func (t *tail) print(found []pipeline.Record) error {
	var lines []byte
	for i := range found {
		if !t.json {
			lines = text.AppendLine(lines, &found[i], t.raw)
			continue
		}
		var err error
		if lines, err = text.AppendJSON(lines, &found[i]); err != nil {
			return fmt.Errorf("%s: %w", &found[i], err)
		}
	}
	_, err := t.stdout.Write(lines)
	return err
}
