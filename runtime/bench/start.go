package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

const (
	// startsPerRound is how often a program is started in a round.
	startsPerRound = 25
	// startLimit is how long a start may take.
	startLimit = 10 * time.Second
	megabyte   = 1e6
)

// startPrograms are the programs whose start is compared, by their packages.
var startPrograms = []struct{ name, pkg, tags string }{
	{"aws-lambda-go and the SDK's events, nothing else", "./bare", "lambda.norpc"},
	{"millrace with stores of handled events", orderCreated, "lambda.norpc,stores"},
	{"millrace, order-created", orderCreated, "lambda.norpc"},
}

const orderCreated = "github.com/millrace/millrace/functions/order-created/bootstrap"

// starting compares how long a Lambda function takes from the start of its process to the first question for an invocation.
func (b *bench) starting(ctx context.Context) (*figure, error) {
	s := &starter{asked: make(chan time.Time, 1)}
	if err := s.build(ctx); err != nil {
		return nil, errors.Join(err, s.close())
	}
	f := &figure{
		close:        s.close,
		name:         "start",
		title:        "from the start of a Lambda function's process to the first question for an invocation, no Kafka; the program stripped",
		columns:      []column{{name: "ms", decimal: 2}, {name: "times the first", decimal: 2}, {name: "MB", decimal: 1}},
		lessIsBetter: true,
		goals:        []goal{{column: 1, bound: atMost, limit: 1.5}, {column: 2, bound: atMost, limit: 15}},
	}
	for at, p := range startPrograms {
		f.peers = append(f.peers, peer{p.name, func(ctx context.Context) ([]float64, error) { return s.measure(ctx, at) }})
	}
	return f, nil
}

// starter starts programs behind an interface of Lambda that has no invocations.
type starter struct {
	folder   string
	programs []string
	sizes    []float64

	server *http.Server
	addr   string
	asked  chan time.Time

	// medians are those of the round, of each program, until every peer has taken its own.
	medians []float64
	taken   int
}

// build builds the programs as they are deployed, and opens the interface.
func (s *starter) build(ctx context.Context) error {
	var err error
	if s.folder, err = os.MkdirTemp("", "bench-start-"); err != nil {
		return err
	}
	for at, p := range startPrograms {
		program := filepath.Join(s.folder, fmt.Sprint("program-", at))
		command := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", p.tags, "-ldflags", "-s -w", "-o", program, p.pkg)
		command.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := command.CombinedOutput(); err != nil {
			return fmt.Errorf("%v: %w\n%s", command, err, output)
		}
		info, err := os.Stat(program)
		if err != nil {
			return err
		}
		s.programs, s.sizes = append(s.programs, program), append(s.sizes, float64(info.Size())/megabyte)
	}
	return s.listen()
}

func (s *starter) listen() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	s.server = &http.Server{ReadHeaderTimeout: startLimit, Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		s.asked <- time.Now()
		<-r.Context().Done()
	})}
	go func() { _ = s.server.Serve(listener) }()
	return nil
}

// measure returns the values of a program in this round. The first peer of a round has all programs started in turn.
func (s *starter) measure(ctx context.Context, at int) ([]float64, error) {
	if s.taken == 0 {
		if err := s.round(ctx); err != nil {
			return nil, err
		}
	}
	s.taken = (s.taken + 1) % len(s.programs)
	return []float64{s.medians[at], s.medians[at] / s.medians[0], s.sizes[at]}, nil
}

func (s *starter) round(ctx context.Context) error {
	took := make([][]float64, len(s.programs))
	for range startsPerRound {
		for at, program := range s.programs {
			one, err := s.start(ctx, program)
			if err != nil {
				return err
			}
			took[at] = append(took[at], float64(one)/float64(time.Millisecond))
		}
	}
	s.medians = s.medians[:0]
	for _, values := range took {
		s.medians = append(s.medians, median(values))
	}
	return nil
}

// start starts a program, and ends it when it has asked.
func (s *starter) start(ctx context.Context, program string) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	command := exec.CommandContext(ctx, program)
	command.Env = []string{"AWS_LAMBDA_RUNTIME_API=" + s.addr, "AWS_SAM_LOCAL=true"}
	begin := time.Now()
	if err := command.Start(); err != nil {
		return 0, err
	}
	defer func() {
		cancel()
		_ = command.Wait() // it was killed
	}()
	select {
	case at := <-s.asked:
		return at.Sub(begin), nil
	case <-ctx.Done():
		return 0, fmt.Errorf("%s asked for no invocation within %s", program, startLimit)
	}
}

// close removes the programs.
func (s *starter) close() error {
	var err error
	if s.server != nil {
		err = s.server.Close()
	}
	return errors.Join(err, os.RemoveAll(s.folder))
}
