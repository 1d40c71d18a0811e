package stack

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
	"github.com/millrace/millrace/localdev/trigger/template"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
)

// Options are the settings of a stack. The zero value is usable. Its functions are called from several goroutines at a
// time, and should return soon: processes and batches wait for them.
type Options struct {
	// Lookup returns what reads the variables that take the place of the template's for a function. Default: [os.LookupEnv].
	Lookup func(f *Function) function.Lookup
	// Variables are the names of what Lookup is asked for beside the template's own.
	Variables []string
	// Prebuilt takes the binaries of `sam build` or `make build` where there are some, however old they are.
	Prebuilt bool
	// Debug is the logical id of a function that the developer starts by hand.
	Debug string
	// Folder is where what was given up is written that AWS would send to SQS, SNS or S3. See [trigger.Options].
	Folder string
	// Drain bounds how long running invocations may go on at the end. Default: that of [trigger.Options].
	Drain time.Duration
	// Log gets the system log of event source mappings. Default: none.
	Log *slog.Logger
	// Output is told what the processes write, line by line. A line is valid until Output returns.
	Output func(f *Function, line []byte)
	// Invocation is told what happens to processes.
	Invocation func(f *Function, e process.Event)
	// Batch is told what happens to batches.
	Batch func(f *Function, m *template.Mapping, e trigger.Event)
	// Event sees each event that a mapping sends, before the function does.
	Event func(f *Function, payload []byte)
}

func (o *Options) withDefaults() Options {
	var c Options
	if o != nil {
		c = *o
	}
	if c.Lookup == nil {
		c.Lookup = func(*Function) function.Lookup { return os.LookupEnv }
	}
	if c.Output == nil {
		c.Output = func(*Function, []byte) {}
	}
	if c.Invocation == nil {
		c.Invocation = func(*Function, process.Event) {}
	}
	if c.Batch == nil {
		c.Batch = func(*Function, *template.Mapping, trigger.Event) {}
	}
	if c.Event == nil {
		c.Event = func(*Function, []byte) {}
	}
	return c
}

// Stack are functions that can be called.
type Stack struct {
	options Options
	api     *runtimeapi.Server
	members []*member
}

// member is a function of a stack.
type member struct {
	Function

	binary process.Binary
	pool   *process.Pool
}

// Open builds functions of a template, several at a time, and makes them ready to be called. What the go command has to
// say is a [*process.BuildError]. The caller closes the stack.
func Open(ctx context.Context, file *File, functions []Function, o *Options) (*Stack, error) {
	s := &Stack{options: o.withDefaults()}
	for _, f := range functions {
		s.members = append(s.members, &member{Function: f})
	}
	if err := s.build(ctx, file.Root); err != nil {
		return nil, err
	}
	var err error
	if s.api, err = runtimeapi.Start(); err != nil {
		return nil, err
	}
	for _, m := range s.members {
		if err := s.start(m); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

func (s *Stack) build(ctx context.Context, root string) error {
	members := slices.DeleteFunc(slices.Clone(s.members), func(m *member) bool { return m.LogicalID == s.options.Debug })
	if len(members) == 0 {
		return nil
	}
	// The first compiles what all have in common: builds at the same time would each do so.
	if err := s.buildOne(ctx, root, members[0]); err != nil {
		return err
	}
	builds, ctx := errgroup.WithContext(ctx)
	builds.SetLimit(runtime.GOMAXPROCS(0))
	for _, m := range members[1:] {
		builds.Go(func() error { return s.buildOne(ctx, root, m) })
	}
	return builds.Wait()
}

func (s *Stack) buildOne(ctx context.Context, root string, m *member) (err error) {
	source := process.Source{Root: root, CodeURI: m.CodeURI, LogicalID: m.LogicalID}
	m.binary, err = process.Build(ctx, source, &process.BuildOptions{Fresh: !s.options.Prebuilt})
	return err
}

func (s *Stack) start(m *member) (err error) {
	m.pool, err = process.Start(process.Function{
		Name: m.Name, Bootstrap: m.binary.Path, Timeout: m.Timeout, MemoryMB: m.MemoryMB, Concurrency: max(0, m.ReservedConcurrency),
		Environment: environment(&m.Function, s.options.Lookup(&m.Function), s.options.Variables),
	}, &process.Options{
		API:    s.api,
		Log:    lines(func(line []byte) { s.options.Output(&m.Function, line) }),
		Events: func(e process.Event) { s.options.Invocation(&m.Function, e) },
	})
	return err
}

// lines is a writer that gets whole lines.
type lines func(line []byte)

// Write implements [io.Writer].
func (l lines) Write(line []byte) (int, error) {
	l(line)
	return len(line), nil
}

// Close ends all processes. Whoever runs the stack waits for that first.
func (s *Stack) Close() error {
	var errs []error
	for _, m := range s.members {
		if m.pool != nil {
			errs = append(errs, m.pool.Close())
		}
	}
	return errors.Join(append(errs, s.api.Close())...)
}

// Binary returns the program of a function, by its logical id; the zero Binary where there is none.
func (s *Stack) Binary(logicalID string) process.Binary {
	if m := s.member(logicalID); m != nil {
		return m.binary
	}
	return process.Binary{}
}

// Environment returns what the developer has to set for the function that is started by hand, see
// [process.Pool.Environment].
func (s *Stack) Environment() []string {
	if m := s.member(s.options.Debug); m != nil {
		return m.pool.Environment()
	}
	return nil
}

func (s *Stack) member(logicalID string) *member {
	i := slices.IndexFunc(s.members, func(m *member) bool { return m.LogicalID == logicalID })
	if i < 0 {
		return nil
	}
	return s.members[i]
}

// Invoke calls a function, by its logical id, with an event. See [process.Pool.Invoke].
func (s *Stack) Invoke(ctx context.Context, logicalID string, payload []byte) (process.Result, error) {
	m := s.member(logicalID)
	if m == nil {
		return process.Result{}, fmt.Errorf("function %s is not of this stack", logicalID)
	}
	return m.pool.Invoke(ctx, payload)
}

// Check returns an error where the cluster does not answer ([*cluster.UnreachableError]) or lacks a topic that one of the
// functions reads ([*cluster.UnknownTopicError]).
func Check(ctx context.Context, kafka kafkaclient.Config, functions []Function) error {
	client, err := cluster.Connect(ctx, kafka)
	if err != nil {
		return err
	}
	defer client.Close()
	for i := range functions {
		for _, m := range functions[i].Enabled() {
			if err := client.CheckTopic(ctx, m.Topic); err != nil {
				return fmt.Errorf("function %s: %w", functions[i].Label, err)
			}
		}
	}
	return nil
}

// Run polls Kafka for the functions, and calls them as their schedules say, until ctx ends. Then running invocations may go on for a while, what is done is
// committed, and Run returns nil. started is called once, when all mappings have joined their groups.
func (s *Stack) Run(ctx context.Context, kafka kafkaclient.Config, started func()) error {
	mappings, ctx := errgroup.WithContext(ctx)
	var missing atomic.Int64
	joined := func() {
		if missing.Add(-1) == 0 {
			started()
		}
	}
	missing.Add(1)
	for _, m := range s.members {
		for _, mapping := range m.Enabled() {
			missing.Add(1)
			mappings.Go(func() error { return s.poll(ctx, kafka, m, mapping, joined) })
		}
	}
	for _, m := range s.members {
		for _, schedule := range s.schedules(m) {
			mappings.Go(func() error { return call(ctx, schedule, m.pool.Invoke) })
		}
	}
	joined()
	return mappings.Wait()
}

func (s *Stack) poll(ctx context.Context, kafka kafkaclient.Config, m *member, mapping template.Mapping, joined func()) error {
	err := trigger.Run(ctx, mapping, caller{s, m}, &trigger.Options{
		Kafka: kafka, Folder: s.options.Folder, Drain: s.options.Drain, Log: s.options.Log,
		FunctionARN: "arn:aws:lambda:us-east-1:123456789012:function:" + m.Name,
		Observe:     func(e trigger.Event) { s.options.Batch(&m.Function, &mapping, e) },
		Started:     joined,
	})
	if err != nil {
		return fmt.Errorf("function %s: %w", m.Label, err)
	}
	return nil
}

// caller shows the events of a function to whoever wants to see them.
type caller struct {
	stack  *Stack
	member *member
}

// Invoke implements [trigger.Invoker].
func (c caller) Invoke(ctx context.Context, event []byte) (process.Result, error) {
	c.stack.options.Event(&c.member.Function, event)
	return c.member.pool.Invoke(ctx, event)
}
