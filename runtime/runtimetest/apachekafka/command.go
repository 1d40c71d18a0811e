package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest"
)

// patience is how long an interrupted command may take to end before it is killed.
const patience = 30 * time.Second

// server is the broker as a command needs it.
type server interface {
	Addr() string
	// Wait returns why the broker ended, or nil when ctx has.
	Wait(ctx context.Context) error
}

// execute runs command with the broker's address in its environment and returns its exit code, which is not 0 when
// there is an error. When ctx ends, or the broker, the command is interrupted.
func execute(ctx context.Context, command []string, kafka server) (int, error) {
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		if err := kafka.Wait(running); err != nil {
			cancel(err)
		}
	}()

	child := exec.CommandContext(running, command[0], command[1:]...)
	child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
	child.Env = append(os.Environ(), runtimetest.AddressVariable+"="+kafka.Addr())
	child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
	child.WaitDelay = patience
	err := child.Run()

	var exit *exec.ExitError
	switch {
	case running.Err() != nil && ctx.Err() == nil:
		return exitFailed, context.Cause(running)
	case err == nil:
		return exitOK, nil
	case errors.As(err, &exit):
		return exitCode(exit), nil
	case ctx.Err() != nil:
		return exitInterrupted, nil
	default:
		return exitFailed, fmt.Errorf("run %s: %w", command[0], err)
	}
}

// exitCode is the code that a shell would report.
func exitCode(exit *exec.ExitError) int {
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return exitSignal + int(status.Signal())
	}
	return exit.ExitCode()
}
