package pipeline_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestRecallTakesTheLargerNumber(t *testing.T) {
	t.Parallel()
	early, late := time.Unix(1000, 0), time.Unix(2000, 0)
	for _, tc := range []struct {
		name string
		d    pipeline.Delivery
		past pipeline.Past
		want pipeline.Delivery
	}{
		{"nothing is remembered", pipeline.Delivery{Attempts: 1}, pipeline.Past{}, pipeline.Delivery{Attempts: 1}},
		{
			"the door knows nothing", pipeline.Delivery{Attempts: 1}, pipeline.Past{Failed: 2, Crashed: 1, FirstFailure: early},
			pipeline.Delivery{Attempts: 3, Suspected: 1, Crashed: 1, FirstFailure: early},
		}, {
			"the door knows more", pipeline.Delivery{Attempts: 4, FirstFailure: late}, pipeline.Past{Failed: 2, FirstFailure: early},
			pipeline.Delivery{Attempts: 4, FirstFailure: late},
		}, {
			"the door suspects what is known", pipeline.Delivery{Attempts: 2, Suspected: 2}, pipeline.Past{Failed: 3},
			pipeline.Delivery{Attempts: 4},
		}, {
			"the door suspects what crashed", pipeline.Delivery{Attempts: 2, Suspected: 1}, pipeline.Past{Failed: 1, Crashed: 1},
			pipeline.Delivery{Attempts: 2, Suspected: 1, Crashed: 1},
		}, {
			"more crashed than the door suspects", pipeline.Delivery{Attempts: 2, Suspected: 1}, pipeline.Past{Crashed: 3},
			pipeline.Delivery{Attempts: 2, Suspected: 2, Crashed: 3},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := tc.d
			for range 2 { // it may be told again
				d.Recall(tc.past)
				if d.Attempts != tc.want.Attempts || d.Suspected != tc.want.Suspected || d.Crashed != tc.want.Crashed ||
					!d.FirstFailure.Equal(tc.want.FirstFailure) {
					t.Errorf("attempt %d, suspected %d, crashed %d, first failure %s; want %d, %d, %d, %s", d.Attempts, d.Suspected, d.Crashed,
						d.FirstFailure, tc.want.Attempts, tc.want.Suspected, tc.want.Crashed, tc.want.FirstFailure)
				}
			}
		})
	}
}

// The functions of these tests may be called three times.
func TestARecordThatHasHadAllOfItsCallsGetsNoOther(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name                       string
		failed, suspected, crashed int
		called                     bool
		verdict                    function.Verdict
		attempts                   int
	}{
		{"new", 0, 0, 0, true, function.Retry, 0},
		{"two failed", 2, 0, 0, true, function.DeadLetter, 3},
		{"three failed", 3, 0, 0, false, function.DeadLetter, 3},
		{"the last was interrupted", 2, 1, 0, false, function.DeadLetter, 2},
		{"the last crashed", 2, 1, 1, false, function.DeadLetter, 3},
		{"processes crashed around it", 0, 9, 0, true, function.DeadLetter, 1},
		{"it crashed as often as it may be called", 0, 3, 3, true, function.DeadLetter, 4},
		{"it crashed once more", 0, 4, 4, false, function.DeadLetter, 4},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b := setup(t, func(context.Context, event.Event) ([]event.Event, error) { return nil, errors.New("boom") })
			d := cloudEvent()
			d.Attempts, d.Suspected, d.Crashed = tc.failed, tc.suspected, tc.crashed
			b.Handle(t.Context(), d)
			if (b.calls == 1) != tc.called || b.outcomes[0].Verdict != tc.verdict {
				t.Errorf("%d calls, %s: %v; want called %t, %s", b.calls, b.outcomes[0].Verdict, b.outcomes[0].Err, tc.called, tc.verdict)
			}
			if tc.verdict == function.DeadLetter && (len(b.letters) != 1 || b.letters[0].Class != function.ClassExhausted || b.letters[0].Attempts != tc.attempts) {
				t.Errorf("dead letters %+v, want one after %d attempts", b.letters, tc.attempts)
			}
		})
	}
}
