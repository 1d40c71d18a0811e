package live

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"time"

	"github.com/millrace/millrace/localdev/mail"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/localdev/webhook"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// backlog is how many lines may wait to be written. Those beyond it are counted, not shown: nobody waits for a terminal.
const backlog = 8192

// sumUp is how often lines are summed up when there are too many of them.
const sumUp = time.Second

// Options are the settings of a View. The zero value is usable.
type Options struct {
	// Functions are the functions that run.
	Functions []function.Spec
	// Color uses the colours of a terminal.
	Color bool
	// JSON writes one object for each line, and sums nothing up.
	JSON bool
}

// View shows what happens. It is a [pipeline.Observer]. Its methods may be called concurrently.
type View struct {
	out     io.Writer
	json    bool
	outputs outputs
	lines   chan line
	dropped atomic.Int64
	printer printer
}

// New returns a View that writes to out.
func New(out io.Writer, o *Options) *View {
	if o == nil {
		o = &Options{}
	}
	return &View{
		out:     out,
		json:    o.JSON,
		outputs: outputsOf(o.Functions),
		lines:   make(chan line, backlog),
		printer: printer{color: o.Color},
	}
}

// Observe shows the outcome of an attempt.
func (v *View) Observe(o *pipeline.Outcome) {
	if l := outcomeLine(o, time.Now()); v.outputs.isNews(&l) {
		v.show(l)
	}
}

// Mail shows a mail that was caught.
func (v *View) Mail(m mail.Message) { v.show(mailLine(m)) }

// Webhook shows a webhook that was caught.
func (v *View) Webhook(m webhook.Message) { v.show(webhookLine(m)) }

// Print shows a text as it is, between the lines.
func (v *View) Print(text string) { v.show(line{Kind: kindText, Subject: text}) }

func (v *View) show(l line) {
	select {
	case v.lines <- l:
	default:
		v.dropped.Add(1)
	}
}

// Run writes lines until ctx ends, and then those that still wait. It returns an error when out cannot be written to.
func (v *View) Run(ctx context.Context) error {
	w := writer{view: v, chains: newChains()}
	ticker := time.NewTicker(sumUp)
	defer ticker.Stop()
	for {
		select {
		case l := <-v.lines:
			w.take(l)
		case now := <-ticker.C:
			w.tick(now)
		case <-ctx.Done():
			return w.drain()
		}
		if w.err != nil {
			return w.err
		}
	}
}

// writer is what Run does to the lines, one after the other.
type writer struct {
	view   *View
	chains *chains
	burst  burst
	buffer []byte
	err    error
}

func (w *writer) take(l line) {
	if l.Kind == kindText {
		w.buffer = append(w.buffer[:0], l.Subject...)
		w.flush()
		return
	}
	for _, l := range w.chains.join(l) {
		w.emit(l)
	}
}

func (w *writer) emit(l line) {
	if w.view.json {
		w.buffer, w.err = text.AppendJSONLine(w.buffer[:0], l)
		w.flush()
		return
	}
	if w.burst.shows(&l) {
		w.buffer = w.view.printer.appendLine(w.buffer[:0], &l)
		w.flush()
	}
}

// droppedLine says that so many lines are missing.
type droppedLine struct {
	Kind  string `json:"kind"`
	Count int64  `json:"count"`
}

// tick ends a second.
func (w *writer) tick(now time.Time) {
	for _, l := range w.chains.overdue(now) {
		w.emit(l)
	}
	dropped := w.view.dropped.Swap(0)
	if w.view.json {
		if dropped > 0 {
			w.buffer, w.err = text.AppendJSONLine(w.buffer[:0], droppedLine{Kind: "dropped", Count: dropped})
			w.flush()
		}
		return
	}
	if summary, ok := w.burst.endSecond(dropped); ok {
		w.buffer = w.view.printer.appendSummary(w.buffer[:0], now, summary)
		w.flush()
	}
}

func (w *writer) flush() {
	if w.err == nil {
		_, w.err = w.view.out.Write(w.buffer)
	}
}

// drain writes what is there when everything has ended.
func (w *writer) drain() error {
	for {
		select {
		case l := <-w.view.lines:
			w.take(l)
		default:
			w.tick(time.Now().Add(2 * waitFor))
			if errors.Is(w.err, io.ErrClosedPipe) {
				return nil
			}
			return w.err
		}
	}
}
