//go:build unix

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

// collectTimeout is how long reading the topics may take, whatever is left of the run's time.
const collectTimeout = 90 * time.Second

// collect reads what the topics hold when the members have ended.
func (r *run) collect(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), collectTimeout)
	defer cancel()
	err := r.decided(ctx)
	take := func(topic string, take func(*kgo.Record)) {
		err = errors.Join(err, readAll(ctx, r.cluster, topic, take))
	}
	h := &r.history
	take(inputTopic, func(record *kgo.Record) { h.Events = append(h.Events, eventOf(record)) })
	take(outputTopic, func(record *kgo.Record) { h.Outputs = append(h.Outputs, outputOf(record)) })
	take(letterTopic, func(record *kgo.Record) { h.Letters = append(h.Letters, letterOf(record)) })
	ends, endsErr := endsOf(ctx, r.cluster, outputTopic)
	if err := errors.Join(err, endsErr); err != nil {
		return err
	}
	if err := r.seen.reach(ctx, ends); err != nil {
		return fmt.Errorf("the reader that reads along: %w", err)
	}
	if len(h.Events) != r.loader.written {
		return fmt.Errorf("topic %s holds %d events, %d were written", inputTopic, len(h.Events), r.loader.written)
	}
	return nil
}

// decided waits until no transaction is open, as long as the broker may take to end those of killed members.
func (r *run) decided(ctx context.Context) error {
	for deadline := time.Now().Add(transactionTimeout + 5*time.Second); ; {
		open, err := openTransactions(ctx, r.cluster)
		if err != nil {
			return err
		}
		if len(open) == 0 || time.Now().After(deadline) {
			r.history.Open = open
			return nil
		}
		time.Sleep(sampleInterval)
	}
}

func eventOf(record *kgo.Record) history.Event {
	var w work
	_ = json.Unmarshal(record.Value, &w) // this program wrote it
	return history.Event{Position: position(record), ID: header(record, "ce_id"), Key: string(record.Key), Fails: w.Fails}
}

// read takes in the members' journals, and whatever else the run knows of itself.
func (r *run) read() error {
	h := &r.history
	h.Attempts, h.ExactlyOnce, h.Exits = attempts, r.exactlyOnce, map[string]time.Duration{}
	h.Processors = runtime.NumCPU()
	var problems []error
	for _, p := range r.fleet.all() {
		h.Exits[p.name] = p.exit
		e, err := readJournalFile(r.dir, p.name)
		problems = append(problems, err)
		h.Calls = append(h.Calls, e.calls...)
		h.Releases = append(h.Releases, e.releases...)
		if problem := p.problem(e.joined); problem != nil {
			problems = append(problems, fmt.Errorf("%s: %w; see %s.log", p.name, problem, p.name))
		}
	}
	if r.saboteur != nil {
		h.Faults = r.saboteur.faults()
		slices.SortFunc(h.Faults, func(a, b history.Fault) int { return cmp.Compare(a.From, b.From) })
	}
	h.Samples = r.sampler.samples
	return errors.Join(append(problems, writeFaults(filepath.Join(r.dir, "faults.log"), h.Faults))...)
}

// writeFaults keeps what was done for whoever looks for a cause.
func writeFaults(name string, faults []history.Fault) error {
	var text strings.Builder
	for i := range faults {
		fmt.Fprintln(&text, &faults[i])
	}
	return os.WriteFile(name, []byte(text.String()), 0o600)
}

func readJournalFile(dir, process string) (entries, error) {
	file, err := os.Open(filepath.Join(dir, process+".journal"))
	if err != nil {
		return entries{}, err
	}
	defer file.Close()
	return readJournal(process, file)
}

// problem returns what is wrong with how a process ended. One that could not join, while the broker was out of reach, may
// end with an error; one that has must not, but by SIGKILL.
func (p *process) problem(joined bool) error {
	told := p.told()
	switch {
	case told == syscall.SIGKILL, told == syscall.SIGTERM && p.err == nil:
		return nil
	case p.err == nil:
		return errors.New("ended although nobody asked it to")
	case joined:
		return p.err
	}
	return nil
}
