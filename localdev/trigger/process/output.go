package process

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"time"
)

const (
	// maxTail is how much of its output is kept for the error of a process that ends.
	maxTail = 4 << 10
	// outputGrace is how long the output of a process that has ended is waited for: a child that left its group may hold
	// it open.
	outputGrace = time.Second
)

// lines writes one line at a time for all processes of a pool.
type lines struct {
	mu sync.Mutex
	to io.Writer
}

func (l *lines) write(line []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = l.to.Write(line) // a log that is full ends no process
}

// output is what a process writes to its standard output and error.
type output struct {
	from *os.File
	done chan struct{}

	mu   sync.Mutex
	tail []byte
}

func copyOutput(from *os.File, to *lines) *output {
	o := &output{from: from, done: make(chan struct{})}
	go o.copy(to)
	return o
}

func (o *output) copy(to *lines) {
	defer close(o.done)
	in := bufio.NewReaderSize(o.from, MaxLine)
	for cut := false; ; {
		line, err := in.ReadSlice('\n')
		endOfCut := cut && string(line) == "\n"
		if len(line) > 0 && !endOfCut {
			if line[len(line)-1] != '\n' {
				line = append(bytes.Clone(line), '\n')
			}
			to.write(line)
			o.remember(line)
		}
		cut = errors.Is(err, bufio.ErrBufferFull)
		if err != nil && !cut {
			return
		}
	}
}

// remember keeps the last lines. A line that is too long loses its beginning.
func (o *output) remember(line []byte) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.tail = append(o.tail, line...)
	over := len(o.tail) - maxTail
	if over <= 0 {
		return
	}
	if newline := bytes.IndexByte(o.tail[over-1:len(o.tail)-1], '\n'); newline >= 0 {
		over += newline
	}
	o.tail = append(o.tail[:0], o.tail[over:]...)
}

func (o *output) last() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(bytes.ToValidUTF8(o.tail, []byte("\uFFFD")))
}

// finish waits for the last output of a process that has ended.
func (o *output) finish() {
	if err := o.from.SetReadDeadline(time.Now().Add(outputGrace)); err != nil {
		timer := time.AfterFunc(outputGrace, func() { _ = o.from.Close() })
		defer timer.Stop()
	}
	<-o.done
	_ = o.from.Close()
}
