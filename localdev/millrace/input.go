package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/mattn/go-isatty"

	"github.com/millrace/millrace/localdev/cluster"
	"github.com/millrace/millrace/localdev/text"
)

// readInput reads the file that args name, or standard input. name is what errors call it.
func (a *app) readInput(ctx context.Context, args []string) (name string, input []byte, err error) {
	if len(args) == 0 || args[0] == "-" {
		if file, ok := a.stdin.(*os.File); ok && isatty.IsTerminal(file.Fd()) {
			fmt.Fprintln(a.stderr, "Reading events from the terminal; Ctrl-D ends the input.")
		}
		input, err = readBounded(ctx, a.stdin)
		return "standard input", input, err
	}
	file, err := os.Open(args[0])
	if err != nil {
		return args[0], nil, &hinted{err: err, try: "millrace publish FILE, or - for standard input"}
	}
	defer file.Close()
	input, err = readBounded(ctx, file)
	if err != nil {
		err = fmt.Errorf("%s: %w", args[0], err)
	}
	return args[0], input, err
}

// readBounded reads all of in. It returns when ctx ends, even if in blocks.
func readBounded(ctx context.Context, in io.Reader) ([]byte, error) {
	type result struct {
		input []byte
		err   error
	}
	read := make(chan result, 1)
	go func() {
		input, err := io.ReadAll(io.LimitReader(bufio.NewReader(in), text.MaxInput+1))
		read <- result{input, err}
	}()
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case r := <-read:
		if len(r.input) > text.MaxInput {
			return nil, &hinted{err: fmt.Errorf("the input has more than %d bytes", text.MaxInput), try: "publish it in parts"}
		}
		return r.input, r.err
	}
}

// maxShownProblems bounds the list of what is wrong with an input.
const maxShownProblems = 20

// problems counts what is wrong and keeps the first ones.
type problems struct {
	count int
	first []error
}

func (p *problems) add(err error) {
	if p.count++; p.count <= maxShownProblems {
		p.first = append(p.first, err)
	}
}

// failed returns an error that lists the problems, one per line, after a headline.
func (p *problems) failed(format string, args ...any) error {
	lines := append([]error{fmt.Errorf(format, args...)}, p.first...)
	if more := p.count - len(p.first); more > 0 {
		lines = append(lines, fmt.Errorf("and %d more", more))
	}
	return errors.Join(lines...)
}

func isUnreachable(err error) bool {
	var unreachable *cluster.UnreachableError
	return errors.As(err, &unreachable)
}
