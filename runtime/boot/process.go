package boot

import (
	"context"
	"errors"
	"log/slog"
	"slices"

	"github.com/millrace/millrace/runtime/breaker"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
	"github.com/millrace/millrace/runtime/telemetry"
)

// process is what the functions and services of a program share, behind either door.
type process struct {
	*program

	settings *settings
	log      *slog.Logger
	circuits *breaker.Set
	// ledger is nil where handled events are not remembered.
	ledger *ledger
	// tracing is nil where no spans are made.
	tracing *telemetry.Tracing
	// observers are told of each outcome, counts of chores and requests.
	observers []pipeline.Observer
	counts    activity
	// around is what stands around the standard middleware of a function.
	around func(function.Spec) []pipeline.Middleware
}

// trace starts to make spans, where the settings ask for them.
func (p *process) trace() (err error) {
	p.tracing, err = telemetry.StartTracing(p.settings.Telemetry, p.log)
	p.observers = append(p.observers, p.tracing)
	return err
}

// remember opens what remembers handled events, where there are some and the settings name it.
func (p *process) remember(ctx context.Context) (err error) {
	if len(p.functions) == 0 {
		return nil
	}
	p.ledger, err = p.settings.Idempotency.open(ctx, p.log)
	return err
}

// close sends the last spans, ends the connections that the process keeps and closes the handlers.
func (p *process) close() error {
	p.tracing.Close()
	var err error
	if p.ledger != nil {
		err = p.ledger.Close()
	}
	return errors.Join(err, p.program.close())
}

// pipeline returns the pipeline of a consumer group, which publishes to out.
func (p *process) pipeline(group string, functions []pipeline.Function, out *outlet) (*pipeline.Pipeline, error) {
	standard := middleware.WithCircuits(p.circuits, p.settings.Retry.backoff())
	return pipeline.New(group, functions, out.sink, out.letters, &pipeline.Options{
		Transactional: out.stage != nil,
		Once:          p.once(),
		Middleware: func(spec function.Spec) []pipeline.Middleware {
			return slices.Concat([]pipeline.Middleware{p.tracing.Middleware(spec)}, p.around(spec), standard(spec))
		},
		Observers: p.observers,
	})
}

// once returns the hook of what remembers handled events, nil where nothing does.
func (p *process) once() func(function.Spec) pipeline.Once {
	if p.ledger == nil {
		return nil
	}
	return p.ledger.Once
}

// groupsOf returns functions by their consumer groups.
func groupsOf(functions []pipeline.Function) map[string][]pipeline.Function {
	groups := map[string][]pipeline.Function{}
	for _, f := range functions {
		groups[f.Spec.Group] = append(groups[f.Spec.Group], f)
	}
	return groups
}

// specsOf returns the complete Specs of functions.
func specsOf(functions []pipeline.Function) []function.Spec {
	specs := make([]function.Spec, len(functions))
	for i, f := range functions {
		specs[i] = f.Spec
	}
	return specs
}
