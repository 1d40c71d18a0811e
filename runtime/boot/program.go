package boot

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// program is what a process runs, made from its Specs and Services.
type program struct {
	functions []pipeline.Function
	services  []service
	// chores are those of functions and services.
	chores []*chore
	// closers are the handlers that want to be closed, in the order in which they were made.
	closers []io.Closer
}

// service is a function.Service that was made.
type service struct {
	name    string
	handler http.Handler
}

// build completes the Specs and Services and makes their handlers. A program that is returned with an error is to be closed, too.
func build(lookup function.Lookup, specs []function.Spec, services []function.Service) (*program, error) {
	if len(specs) == 0 && len(services) == 0 {
		return &program{}, errors.New("there is no function to run, and no service")
	}
	p := &program{}
	var problems []error
	for _, spec := range specs {
		f, err := pipeline.Make(spec, lookup)
		if err == nil {
			p.functions = append(p.functions, f)
			err = p.adopt(f.Spec.Name, f.Handler)
		}
		problems = append(problems, err)
	}
	for _, s := range services {
		problems = append(problems, p.addService(lookup, s))
	}
	return p, errors.Join(problems...)
}

func (p *program) addService(lookup function.Lookup, s function.Service) error {
	s, err := s.Complete()
	if err != nil {
		return err
	}
	handler, err := s.New(lookup)
	if err != nil {
		return fmt.Errorf("service %s: %w", s.Name, err)
	}
	p.services = append(p.services, service{name: s.Name, handler: handler})
	return p.adopt(s.Name, handler)
}

// adopt takes over what the handler of a function or service is besides.
func (p *program) adopt(name string, handler any) error {
	if closer, ok := handler.(io.Closer); ok {
		p.closers = append(p.closers, closer)
	}
	chores, err := choresOf(name, handler)
	p.chores = append(p.chores, chores...)
	return err
}

// publishes tells whether anything in the program may publish: then it needs Kafka.
func (p *program) publishes() bool { return len(p.functions) > 0 || len(p.chores) > 0 }

// name is the name of what the program is made of, where that is one thing.
func (p *program) name() string {
	switch {
	case len(p.functions) == 1 && len(p.services) == 0:
		return p.functions[0].Spec.Name
	case len(p.services) == 1 && len(p.functions) == 0:
		return p.services[0].name
	}
	return "millrace"
}

// close closes the handlers that want it, the last one first. Nothing may call them any more.
func (p *program) close() error {
	var problems []error
	for len(p.closers) > 0 {
		last := len(p.closers) - 1
		problems = append(problems, p.closers[last].Close())
		p.closers = p.closers[:last]
	}
	return errors.Join(problems...)
}
