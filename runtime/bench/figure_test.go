package main

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// figureOf returns a figure whose peers give these values, one row a round.
func figureOf(columns []column, rows map[string][][]float64, names ...string) (f figure, order *[]string) {
	order = &[]string{}
	f = figure{name: "test", title: "a test", columns: columns, goals: []goal{ratioGoal(0, 1)}}
	for _, name := range names {
		round := 0
		f.peers = append(f.peers, peer{name, func(context.Context) ([]float64, error) {
			*order = append(*order, name)
			round++
			return rows[name][round-1], nil
		}})
	}
	return f, order
}

func TestRoundsInterleaveThePeersAndBeginWithAnotherEachTime(t *testing.T) {
	t.Parallel()
	rows := [][]float64{{1}, {1}, {1}, {1}}
	f, order := figureOf([]column{{name: "ops"}}, map[string][][]float64{"a": rows, "b": rows, "c": rows}, "a", "b", "c")
	if _, err := f.run(t.Context(), 4, io.Discard); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(*order, ""), "abc"+"bca"+"cab"+"abc"; got != want {
		t.Errorf("measured in the order %s, want %s", got, want)
	}
}

func TestRatiosComparePeersWithinARound(t *testing.T) {
	t.Parallel()
	// The ratios are 0.5, 3 and 2; the ratio of the medians would be 1.25.
	rows := map[string][][]float64{"a": {{100, 5}, {10, 0}, {40, 0}}, "b": {{50, 0}, {30, 3}, {80, 0}}}
	columns := []column{{name: "events/s"}, {name: "out of order", worst: true}}
	f, _ := figureOf(columns, rows, "a", "b")
	r, err := f.run(t.Context(), 3, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if got := []float64{r.ratio(0, 0), r.ratio(1, 0)}; !slices.Equal(got, []float64{1, 2}) {
		t.Errorf("ratios %v, want 1 and 2", got)
	}
	r.lessIsBetter = true
	if got := r.ratio(1, 0); got != 0.5 {
		t.Errorf("ratio %v where less is better, want 0.5", got)
	}
	if got := []float64{r.value(1, 0), r.value(1, 1)}; !slices.Equal(got, []float64{50, 3}) {
		t.Errorf("values %v, want the median 50 and the worst 3", got)
	}
}

func TestAFailedMeasurementNamesThePeer(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	f := figure{columns: []column{{}}, peers: []peer{{"it", func(context.Context) ([]float64, error) { return nil, broken }}}}
	_, err := f.run(t.Context(), 1, io.Discard)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "it: ") {
		t.Errorf("run() = %v", err)
	}
}

func TestPeersThatOnlyWaitAreMeasuredAtOnce(t *testing.T) {
	t.Parallel()
	both := make(chan struct{})
	meet := func(ctx context.Context) ([]float64, error) {
		select {
		case both <- struct{}{}:
		case <-both:
		case <-ctx.Done():
		}
		return []float64{1}, ctx.Err()
	}
	f := figure{columns: []column{{name: "met"}}, peers: []peer{{"a", meet}, {"b", meet}}, atOnce: true}
	r, err := f.run(t.Context(), 5, io.Discard)
	if err != nil || len(r.rounds[0]) != 1 || len(r.rounds[1]) != 1 {
		t.Errorf("run() = %+v, %v; want one round", r, err)
	}
}

func TestAGoalSaysWhatWasReached(t *testing.T) {
	t.Parallel()
	rows := map[string][][]float64{"a": {{100, 9}}, "b": {{50, 3}}}
	f, _ := figureOf([]column{{name: "events/s"}, {name: "MiB"}}, rows, "a", "b")
	r, err := f.run(t.Context(), 1, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	for want, g := range map[string]goal{
		"at least 0.4 times a: reached with 0.50": ratioGoal(0, 0.4),
		"at least 0.6 times a: missed with 0.50":  ratioGoal(0, 0.6),
		"events/s at least 50: reached with 50":   {limit: 50},
		"events/s at least 51: missed with 50":    {limit: 51},
		"MiB at most 3: reached with 3":           {column: 1, bound: atMost, limit: 3},
		"MiB at most 2: missed with 3":            {column: 1, bound: atMost, limit: 2},
		"MiB below 3: missed with 3":              {column: 1, bound: below, limit: 3},
		"MiB below 4: reached with 3":             {column: 1, bound: below, limit: 4},
	} {
		if got := g.check(r); got != want {
			t.Errorf("check() = %q, want %q", got, want)
		}
	}
}
