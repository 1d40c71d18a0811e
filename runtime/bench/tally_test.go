package main

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
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
			tally := newTally(&job{Records: len(tc.events)})
			for _, n := range tc.events {
				if err := tally.handle(newEvent(n).ID()); err != nil {
					t.Fatal(err)
				}
			}
			if err := tally.wait(nil, nil); err != nil {
				t.Fatal(err)
			}
			if got := tally.account().Violations; got != tc.want {
				t.Errorf("%d out of order, want %d", got, tc.want)
			}
		})
	}
}

func TestTallySeesEventsOfAKeyThatAreHandledAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tally := newTally(&job{Records: 3, Pause: time.Second})
		var running sync.WaitGroup
		// The first two are of one key and overlap, the third is of another key.
		for i, n := range []int{0, 1, burst} {
			running.Go(func() {
				time.Sleep(time.Duration(i) * time.Millisecond)
				_ = tally.handle(newEvent(n).ID())
			})
		}
		running.Wait()
		if got := tally.account().Violations; got != 1 {
			t.Errorf("%d violations, want 1", got)
		}
	})
}

func TestTheFailingEventFailsAndIsCounted(t *testing.T) {
	t.Parallel()
	tally := newTally(&job{Records: 1, Failing: newEvent(0).ID()})
	for range 3 {
		if err := tally.handle(newEvent(0).ID()); !errors.Is(err, errAlways) {
			t.Errorf("handle() = %v", err)
		}
	}
	if err := tally.handle(newEvent(burst).ID()); err != nil {
		t.Errorf("handle() = %v for another event", err)
	}
	if a := tally.account(); a.Attempts != 3 || a.Handled != 1 {
		t.Errorf("account %+v, want 3 attempts and 1 handled", a)
	}
}

func TestTallyReportsAPeerThatEndsEarly(t *testing.T) {
	t.Parallel()
	tally := newTally(&job{Records: 10})
	for _, id := range []string{newEvent(0).ID(), "foreign"} {
		if err := tally.handle(id); err != nil {
			t.Fatal(err)
		}
	}
	broken, ended := errors.New("broken"), make(chan error, 1)
	ended <- broken
	err := tally.wait(ended, nil)
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "1 of 10 events were handled, and 1 strange") {
		t.Errorf("wait() = %v", err)
	}
}

func TestAPeerThatIsToldToEndGivesItsAccount(t *testing.T) {
	t.Parallel()
	tally, told := newTally(&job{}), make(chan struct{})
	if err := tally.handle(newEvent(0).ID()); err != nil {
		t.Fatal(err)
	}
	close(told)
	if err := tally.wait(nil, told); err != nil {
		t.Fatal(err)
	}
	if a := tally.account(); a.Handled != 1 || a.Last.Before(a.First) {
		t.Errorf("account %+v", a)
	}
}
