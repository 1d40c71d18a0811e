package conformance_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/runtimetest/conformance"
)

// lambda is the emulated trigger of AWS Lambda, with real processes behind it. What it lacks, the platform lacks:
// runtime/DESIGN.md lists it.
var lambda = conformance.Door{
	Name:         "lambda",
	Capabilities: []conformance.Capability{conformance.Members, conformance.Drain, conformance.Idempotency},
	Environment: func(p conformance.Program) map[string]string {
		variables := map[string]string{
			"KAFKA_BROKERS":     strings.Join(p.Brokers, ","),
			"DEAD_LETTER_TOPIC": p.DeadLetters,
		}
		if p.Idempotent {
			variables["IDEMPOTENCY_STORE"] = "sqlite"
			variables["IDEMPOTENCY_URL"] = filepath.Join(p.Folder, "handled.db")
		}
		return variables
	},
	Run: func(ctx context.Context, lookup function.Lookup, specs []function.Spec, log io.Writer, started func()) error {
		return boot.Run(ctx, lookup, specs, &boot.Options{Log: slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})), Started: started})
	},
	Start: startTriggers,
}

// functionTimeout is longer than any handler of the suite is held.
const functionTimeout = 2 * time.Minute

// triggers are the event source mappings of a program and the pool of its processes.
type triggers struct {
	pool  *process.Pool
	ended chan struct{}
	// stop ends everything; its cause is what Err returns.
	stop    context.CancelCauseFunc
	running context.Context
}

// errAsked is the cause of an end that was asked for.
var errAsked = errors.New("asked to end")

func startTriggers(t testing.TB, p conformance.Program, c conformance.Child) conformance.Running {
	t.Helper()
	g := &triggers{ended: make(chan struct{})}
	g.running, g.stop = context.WithCancelCause(context.Background())
	var err error
	g.pool, err = process.Start(process.Function{
		Name: "conformance", Bootstrap: c.Path, Environment: c.Environment, Timeout: functionTimeout,
	}, &process.Options{Log: c.Log, Events: g.watch})
	if err != nil {
		t.Fatal(err)
	}
	all := mappings(p)
	joined := make(chan error, len(all)+1)
	go g.run(all, options(p, c.Log), joined)
	ask := func() { g.stop(errAsked) }
	t.Cleanup(func() {
		ask()
		<-g.ended
	})
	if err := <-joined; err != nil {
		t.Fatal(err)
	}
	return conformance.Running{Ask: ask, Kill: func() { g.stop(errKilled); g.pool.Kill(100) }, Ended: g.ended, Err: g.err}
}

var errKilled = errors.New("killed")

// watch ends the program when a process of it crashes: to the suite that is one process.
func (g *triggers) watch(e process.Event) {
	if e.Error != nil && e.Error.Type == process.TypeExit {
		g.stop(e.Error)
	}
}

func (g *triggers) err() error {
	if err := context.Cause(g.running); !errors.Is(err, errAsked) {
		return err
	}
	return nil
}

// run runs a mapping for each topic until all are to end, and then ends the processes. joined gets nil when all mappings
// have their partitions, or the first error.
func (g *triggers) run(all []template.Mapping, o trigger.Options, joined chan<- error) {
	defer close(g.ended)
	var starting, running sync.WaitGroup
	for _, m := range all {
		starting.Add(1)
		o := o
		o.Started = sync.OnceFunc(starting.Done)
		running.Go(func() {
			defer o.Started() // one that cannot start keeps nobody waiting
			if err := trigger.Run(g.running, m, g.pool, &o); err != nil {
				joined <- err
			}
		})
	}
	starting.Wait()
	joined <- nil
	running.Wait()
	g.stop(errAsked)
	_ = g.pool.Close() // the processes are gone, whatever it says
}

func options(p conformance.Program, log io.Writer) trigger.Options {
	return trigger.Options{
		Kafka:          kafkaclient.Config{Brokers: p.Brokers},
		Backoff:        pipeline.Backoff{First: 10 * time.Millisecond, Max: 200 * time.Millisecond},
		Drain:          5 * time.Second,
		SessionTimeout: 6 * time.Second,
		Log:            slog.New(slog.NewTextHandler(log, nil)),
	}
}

// mappings are what a template would say of the program: one for each topic of the group.
func mappings(p conformance.Program) []template.Mapping {
	byTopic := map[string]template.Mapping{}
	for _, f := range p.Functions {
		byTopic[f.Topic] = template.Mapping{
			LogicalID: "Conformance", Source: template.SelfManaged, Brokers: p.Brokers,
			Topic: f.Topic, Group: f.Group, Start: template.TrimHorizon, BatchSize: 100, Window: 20 * time.Millisecond,
			Enabled: true, PartialResponses: true, MaxAttempts: -1, Provisioned: true, MinPollers: 1, MaxPollers: 10,
		}
	}
	return slices.Collect(maps.Values(byTopic))
}
