package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"
)

// peerArgument makes this program a peer at work.
const peerArgument = "peer"

// stallLimit is how long a peer may take for all events before it is given up.
const stallLimit = 2 * time.Minute

// job is what a peer's process is asked to do.
type job struct {
	// Figure and Peer name a contender.
	Figure string `json:"figure"`
	Peer   string `json:"peer"`

	Brokers []string `json:"brokers"`
	// Topic is read, from its start, or written by the peers of produce.
	Topic string `json:"topic"`
	// Group is new.
	Group string `json:"group"`
	// DeadLetters is a topic for what cannot be handled.
	DeadLetters string `json:"deadLetters"`
	// Output is where one event is published for each that is handled. Empty: none is.
	Output string `json:"output"`
	// Records is how many events are handled before the peer ends by itself. 0: it ends when its standard input does.
	Records int `json:"records"`
	// Pause is how long the handler takes.
	Pause time.Duration `json:"pause"`
	// Failing is the id of an event that always fails.
	Failing string `json:"failing"`
	// Settings are variables for millrace, beside its defaults.
	Settings map[string]string `json:"settings"`
	// Profile is a file for a CPU profile. Empty: none is written.
	Profile string `json:"profile"`
}

// account is what a peer's process tells when it is done.
type account struct {
	// First and Last are when the first event was handled and when the last was, or when the peer was told to end.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Processor is the processors' time between the two.
	Processor time.Duration `json:"processor"`
	// Peak is the most memory that the process occupied, in bytes, from its start on.
	Peak int64 `json:"peak"`

	Handled    int64 `json:"handled"`
	Violations int64 `json:"violations"`
	// Attempts were made of the failing event.
	Attempts int64 `json:"attempts"`
}

// rate is in events per second.
func (a *account) rate(events int) float64 { return float64(events) / a.Last.Sub(a.First).Seconds() }

// micros is the processors' time for an event in µs.
func (a *account) micros() float64 {
	return float64(a.Processor.Nanoseconds()) / 1000 / float64(max(a.Handled, 1))
}

func (a *account) mebibytes() float64 { return float64(a.Peak) / (1 << 20) }

// perform has a peer do j in a process of its own. until, where it is not nil, waits for what ends the work.
func perform(ctx context.Context, j *job, until func(context.Context) error) (*account, error) {
	ctx, cancel := context.WithTimeout(ctx, stallLimit)
	defer cancel()
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	child := exec.CommandContext(ctx, self, peerArgument)
	child.Stderr = os.Stderr
	stdin, err := child.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := child.Start(); err != nil {
		return nil, err
	}
	a, err := converse(ctx, j, stdin, stdout, until)
	return a, errors.Join(err, child.Wait())
}

// converse gives the job to the process, and takes its account. A process that has ended is waited for no longer.
func converse(ctx context.Context, j *job, stdin io.WriteCloser, stdout io.Reader, until func(context.Context) error) (*account, error) {
	defer stdin.Close()
	if err := json.NewEncoder(stdin).Encode(j); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	a, told := &account{}, make(chan error, 1)
	go func() {
		defer cancel()
		told <- json.NewDecoder(stdout).Decode(a)
	}()
	if until != nil {
		err := until(ctx)
		if closeErr := stdin.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return nil, err
		}
	}
	if err := <-told; err != nil {
		return nil, fmt.Errorf("the peer's account: %w", err)
	}
	return a, nil
}

// servePeer does the job that is the first line of stdin, and writes its account to stdout.
func servePeer(stdin io.Reader, stdout, stderr io.Writer) (status int) {
	input := bufio.NewReader(stdin)
	line, err := input.ReadBytes('\n')
	var j job
	if err == nil {
		err = json.Unmarshal(line, &j)
	}
	var a *account
	if err == nil {
		a, err = serve(&j, input)
	}
	if err == nil {
		err = json.NewEncoder(stdout).Encode(a)
	}
	if err != nil {
		fmt.Fprintf(stderr, "%s, %s: %v\n", j.Figure, j.Peer, err)
		return 1
	}
	return 0
}

// serve does j until all events are handled or input ends.
func serve(j *job, input io.Reader) (*account, error) {
	c, err := contenderOf(j.Figure, j.Peer)
	if err != nil {
		return nil, err
	}
	if j.Profile != "" {
		stop, err := profile(j.Profile)
		if err != nil {
			return nil, err
		}
		defer stop()
	}
	t := newTally(j)
	told := make(chan struct{})
	go func() {
		_, _ = io.Copy(io.Discard, input)
		close(told)
	}()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- c.work(ctx, j, t) }()
	if err := t.wait(ended, told); err != nil {
		return nil, err
	}
	a := t.account()
	cancel()
	return a, <-ended
}
