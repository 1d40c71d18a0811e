package main

import (
	"errors"
	"strings"
	"testing"
)

func TestTallySeesEventsOfAKeyOutOfOrder(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name   string
		events []int
		want   int64
	}{
		{"in order", []int{0, 1, 2, 3, 4}, 0},
		{"keys mixed", []int{0, 5, 1, 6, 2}, 0},
		{"swapped", []int{0, 2, 1, 3, 4}, 3},
		{"twice", []int{0, 1, 1, 2, 3}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tally := newTally(len(tc.events))
			for _, n := range tc.events {
				tally.handle(newEvent(n).ID())
			}
			if err := tally.wait(nil); err != nil {
				t.Fatal(err)
			}
			if got := tally.violations.Load(); got != tc.want {
				t.Errorf("%d out of order, want %d", got, tc.want)
			}
		})
	}
}

func TestTallyReportsAConsumerThatEndsEarly(t *testing.T) {
	t.Parallel()
	tally := newTally(10)
	tally.handle(newEvent(0).ID())
	tally.handle("foreign")
	broken, ended := errors.New("broken"), make(chan error, 1)
	ended <- broken
	err := tally.wait(ended)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "1 of 10 events were handled, and 1 strange") {
		t.Errorf("wait() = %v", err)
	}
}
