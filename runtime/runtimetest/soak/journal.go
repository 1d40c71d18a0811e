//go:build unix

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

// monotonic reads the clock that all processes of a machine share and that nobody sets.
func monotonic() time.Duration {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &now); err != nil {
		panic(err) // there is such a clock on every system that this is built for
	}
	return time.Duration(now.Nano())
}

// journal is where a member writes down what its handlers do: a line for each start and end, written at once, so that a
// kill loses nothing. Its methods may be called concurrently.
type journal struct {
	file  *os.File
	calls atomic.Int64
}

// The words that lines begin with, each followed by a time in nanoseconds.
const (
	wordJoined  = "joined"  // nothing
	wordStart   = "start"   // number of the call, id of the event
	wordEnd     = "end"     // number of the call, "ok" or "failed"
	wordRelease = "release" // partition
)

func openJournal(name string) (*journal, error) {
	file, err := os.OpenFile(name, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600) //nolint:gosec // the parent process chose the name
	if err != nil {
		return nil, err
	}
	return &journal{file: file}, nil
}

// writef panics where a line cannot be written: a member that nobody can judge must not go on.
func (j *journal) writef(at time.Duration, word, format string, args ...any) {
	line := fmt.Appendf(nil, "%s %d", word, at)
	if _, err := j.file.Write(fmt.Appendf(line, format+"\n", args...)); err != nil {
		panic(err)
	}
}

func (j *journal) joined()                     { j.writef(monotonic(), wordJoined, "") }
func (j *journal) released(partition int64)    { j.writef(monotonic(), wordRelease, " %d", partition) }
func (j *journal) end(call int64, word string) { j.writef(monotonic(), wordEnd, " %d %s", call, word) }

// start takes down that a handler began.
func (j *journal) start(began time.Duration, event string) (call int64) {
	call = j.calls.Add(1)
	j.writef(began, wordStart, " %d %s", call, event)
	return call
}

// entries are what a journal holds.
type entries struct {
	calls    []history.Call
	releases []history.Release
	joined   bool
}

// readJournal reads the journal of a process. A last line without an end was cut by a kill and is passed over.
func readJournal(process string, r io.Reader) (entries, error) {
	var e entries
	open := map[string]int{}
	in := bufio.NewReader(r)
	for n := 1; ; n++ {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return e, nil
		}
		if err == nil {
			err = e.add(process, strings.Fields(line), open)
		}
		if err != nil {
			return e, fmt.Errorf("journal of %s, line %d: %w", process, n, err)
		}
	}
}

var errLine = errors.New("is not a line of a journal")

// add takes one line. open are the calls without an end, by their number.
func (e *entries) add(process string, words []string, open map[string]int) error {
	if len(words) < 2 {
		return errLine
	}
	nanoseconds, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil || nanoseconds <= 0 {
		return errLine
	}
	at := time.Duration(nanoseconds)
	switch rest := words[2:]; {
	case words[0] == wordJoined && len(rest) == 0:
		e.joined = true
	case words[0] == wordStart && len(rest) == 2:
		open[rest[0]] = len(e.calls)
		e.calls = append(e.calls, history.Call{Process: process, Event: rest[1], Start: at})
	case words[0] == wordEnd && len(rest) == 2:
		i, ok := open[rest[0]]
		if !ok {
			return errLine
		}
		delete(open, rest[0])
		e.calls[i].End, e.calls[i].Failed = at, rest[1] != "ok"
	case words[0] == wordRelease && len(rest) == 1:
		partition, err := strconv.ParseInt(rest[0], 10, 32)
		if err != nil {
			return errLine
		}
		e.releases = append(e.releases, history.Release{Process: process, Partition: int32(partition), At: at})
	default:
		return errLine
	}
	return nil
}

// settled is how long a call must have been running to count as one that a fault will meet: quick ones are over before.
const settled = 5 * time.Millisecond

// follower reads a journal while it is written, to know whether handlers run.
type follower struct {
	file *os.File
	// rest is a line that is not complete yet.
	rest []byte
	// running are the starts of calls without an end, by the number of the call.
	running map[string]time.Duration
}

func follow(name string) (*follower, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return &follower{file: file, running: map[string]time.Duration{}}, nil
}

// busy tells whether a handler has been running for a while.
func (f *follower) busy() bool {
	more, err := io.ReadAll(f.file)
	if err != nil {
		return false
	}
	lines := strings.Split(string(append(f.rest, more...)), "\n")
	f.rest = []byte(lines[len(lines)-1])
	for _, line := range lines[:len(lines)-1] {
		switch words := strings.Fields(line); {
		case len(words) > 2 && words[0] == wordStart:
			nanoseconds, _ := strconv.ParseInt(words[1], 10, 64)
			f.running[words[2]] = time.Duration(nanoseconds)
		case len(words) > 2 && words[0] == wordEnd:
			delete(f.running, words[2])
		}
	}
	latest := monotonic() - settled
	for _, start := range f.running {
		if start <= latest {
			return true
		}
	}
	return false
}
