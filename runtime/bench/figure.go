package main

import (
	"context"
	"fmt"
	"io"
	"slices"

	"golang.org/x/sync/errgroup"
)

// figure is one comparison of peers.
type figure struct {
	name, title string
	// columns name what a measurement tells. The first is what ratios are made of.
	columns []column
	// lessIsBetter says that of the first column.
	lessIsBetter bool
	goals        []goal
	// peers are compared to the first of them. The last is millrace.
	peers []peer
	// atOnce has the peers measured at the same time, and once: what they do takes time, not work.
	atOnce bool
	// unranked says that there is nothing to divide by.
	unranked bool
	// close ends what the peers shared. nil: nothing.
	close func() error
}

// column is one value of a measurement.
type column struct {
	name    string
	decimal int
	// worst has the largest value of all rounds shown, in place of the median.
	worst bool
}

// peer is one way to do the work.
type peer struct {
	name string
	// measure does the work once and returns a value for each column.
	measure func(context.Context) ([]float64, error)
}

// result is what was measured: a table of values for each peer, one row a round.
type result struct {
	figure

	rounds [][][]float64
}

// run measures each peer once a round. The rounds interleave the peers, because the speed of a machine drifts: a peer is
// compared to what the first one did in the same round. Each round begins with another peer.
func (f *figure) run(ctx context.Context, rounds int, progress io.Writer) (*result, error) {
	r := &result{figure: *f, rounds: make([][][]float64, len(f.peers))}
	if f.atOnce {
		return r, r.runAtOnce(ctx)
	}
	for round := range rounds {
		for i := range f.peers {
			at := (round + i) % len(f.peers)
			if err := r.measure(ctx, at); err != nil {
				return nil, err
			}
			fmt.Fprintf(progress, "%s, round %d of %d, %s: %.*f %s\n",
				f.name, round+1, rounds, f.peers[at].name, f.columns[0].decimal, r.rounds[at][round][0], f.columns[0].name)
		}
	}
	return r, nil
}

func (r *result) runAtOnce(ctx context.Context) error {
	running, ctx := errgroup.WithContext(ctx)
	for at := range r.peers {
		running.Go(func() error { return r.measure(ctx, at) })
	}
	return running.Wait()
}

// measure measures a peer once.
func (r *result) measure(ctx context.Context, at int) error {
	values, err := r.peers[at].measure(ctx)
	if err != nil {
		return fmt.Errorf("%s: %w", r.peers[at].name, err)
	}
	r.rounds[at] = append(r.rounds[at], values)
	return nil
}

// value sums a column of a peer up.
func (r *result) value(peer, column int) float64 {
	values := make([]float64, len(r.rounds[peer]))
	for round, row := range r.rounds[peer] {
		values[round] = row[column]
	}
	if r.columns[column].worst {
		return slices.Max(values)
	}
	return median(values)
}

// ratio tells how many times better than another a peer is: the median of the rounds' ratios.
func (r *result) ratio(peer, against int) float64 {
	ratios := make([]float64, len(r.rounds[peer]))
	for round, row := range r.rounds[peer] {
		base := r.rounds[against][round][0]
		if r.lessIsBetter {
			ratios[round] = base / row[0]
		} else {
			ratios[round] = row[0] / base
		}
	}
	return median(ratios)
}
