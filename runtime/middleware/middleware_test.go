package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

func returning(err error) pipeline.Handler {
	return func(context.Context, *pipeline.Delivery) error { return err }
}

func TestACallThatNobodyCouldTellOfCountsAsAnAttempt(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name               string
		attempt, suspected int
		verdict            function.Verdict
	}{
		{"nothing is known to have failed", 1, 9, function.DeadLetter},
		{"some are left", 2, 2, function.Retry},
		{"this is the last", 2, 3, function.DeadLetter},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			d := &pipeline.Delivery{Attempts: tc.attempt, Suspected: tc.suspected}
			err := middleware.Retry(5, pipeline.Backoff{First: time.Second, Max: time.Second})(returning(errBoom))(t.Context(), d)
			if function.VerdictOf(err) != tc.verdict || d.Limit != 5 {
				t.Errorf("verdict %s (%v) with a limit of %d, want %s and 5", function.VerdictOf(err), err, d.Limit, tc.verdict)
			}
		})
	}
}

func TestWhatHasHadAllOfItsCallsIsExhausted(t *testing.T) {
	t.Parallel()
	d := &pipeline.Delivery{Attempts: 6}
	err := middleware.Retry(5, pipeline.Backoff{First: time.Second, Max: time.Second})(returning(pipeline.ErrSpent))(t.Context(), d)
	permanent, ok := errors.AsType[*function.PermanentError](err)
	if !ok || permanent.Class != function.ClassExhausted || d.Attempts != 5 {
		t.Errorf("%v after %d attempts, want one that is exhausted after 5", err, d.Attempts)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	backoff := pipeline.Backoff{First: time.Second, Max: 3 * time.Second}
	for _, tc := range []struct {
		name     string
		err      error
		attempt  int
		verdict  function.Verdict
		from, to time.Duration
		class    string
	}{
		{name: "success", attempt: 1, verdict: function.Done},
		{name: "first failure", err: errBoom, attempt: 1, verdict: function.Retry, from: time.Second / 2, to: time.Second},
		{name: "second failure", err: errBoom, attempt: 2, verdict: function.Retry, from: time.Second, to: 2 * time.Second},
		{name: "never above the limit", err: errBoom, attempt: 4, verdict: function.Retry, from: 3 * time.Second / 2, to: 3 * time.Second},
		{name: "last failure", err: errBoom, attempt: 5, verdict: function.DeadLetter, class: function.ClassExhausted},
		{name: "the handler's own time", err: function.RetryAfter(time.Hour, errBoom), attempt: 1, verdict: function.Retry, from: time.Hour, to: time.Hour},
		{name: "the handler's own time, last", err: function.RetryAfter(time.Hour, errBoom), attempt: 5, verdict: function.DeadLetter, class: function.ClassExhausted},
		{name: "permanent", err: function.Permanent(errBoom), attempt: 1, verdict: function.DeadLetter, class: "permanent"},
		{name: "unavailable, after the last", err: function.Unavailable("db", errBoom), attempt: 5, verdict: function.Broken},
		{name: "drop", err: function.Drop("why not"), attempt: 1, verdict: function.Dropped},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			err := middleware.Retry(5, backoff)(returning(tc.err))(t.Context(), &pipeline.Delivery{Attempts: tc.attempt})
			if v := function.VerdictOf(err); v != tc.verdict {
				t.Fatalf("verdict %s of %v, want %s", v, err, tc.verdict)
			}
			var after *function.RetryAfterError
			if errors.As(err, &after) && tc.verdict == function.Retry && (after.After < tc.from || after.After > tc.to) {
				t.Errorf("again after %s, want %s to %s", after.After, tc.from, tc.to)
			}
			var permanent *function.PermanentError
			if errors.As(err, &permanent) && permanent.Class != tc.class {
				t.Errorf("class %s, want %s", permanent.Class, tc.class)
			}
			if tc.err != nil && tc.verdict != function.Dropped && !errors.Is(err, errBoom) {
				t.Errorf("%v does not wrap the cause", err)
			}
		})
	}
}

func TestRecoverTurnsAPanicIntoAFailureWithABoundedStack(t *testing.T) {
	t.Parallel()
	var deep func(n int)
	deep = func(n int) {
		if n == 0 {
			panic(errBoom)
		}
		deep(n - 1)
	}
	err := middleware.Recover()(func(context.Context, *pipeline.Delivery) error { deep(200); return nil })(t.Context(), &pipeline.Delivery{})
	var panicked *function.PanicError
	if !errors.As(err, &panicked) {
		t.Fatalf("error %v", err)
	}
	if panicked.Value != any(errBoom) || len(panicked.Stack) == 0 || len(panicked.Stack) > 4<<10 {
		t.Errorf("value %v, stack of %d bytes", panicked.Value, len(panicked.Stack))
	}
	if function.VerdictOf(err) != function.Retry {
		t.Errorf("verdict %s, want another attempt", function.VerdictOf(err))
	}
}

func TestTimeoutEndsTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := middleware.Timeout(time.Minute)(func(ctx context.Context, _ *pipeline.Delivery) error {
			if deadline, ok := ctx.Deadline(); !ok || !deadline.Equal(start.Add(time.Minute)) {
				t.Errorf("deadline %s, %t", deadline, ok)
			}
			if ctx.Err() != nil {
				t.Errorf("already over: %v", ctx.Err())
			}
			<-ctx.Done()
			return ctx.Err()
		})(t.Context(), &pipeline.Delivery{Started: time.Now()})
		if took := time.Since(start); took != time.Minute {
			t.Errorf("took %s", took)
		}
		if err == nil || !strings.Contains(err.Error(), "longer than its limit of 1m0s") || function.VerdictOf(err) != function.Retry {
			t.Errorf("error %v", err)
		}
	})
}

func TestTimeoutIsSeenByAHandlerThatOnlyAsksForErr(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_ = middleware.Timeout(time.Minute)(func(ctx context.Context, _ *pipeline.Delivery) error {
			time.Sleep(2 * time.Minute)
			if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
				t.Errorf("after the time-out Err() = %v", ctx.Err())
			}
			return nil
		})(t.Context(), &pipeline.Delivery{Started: time.Now()})
	})
}

func TestTheAttemptsContextEndsWithTheAttempt(t *testing.T) {
	t.Parallel()
	contexts := make(chan context.Context, 1)
	_ = middleware.Timeout(time.Hour)(func(ctx context.Context, _ *pipeline.Delivery) error {
		contexts <- ctx
		return nil
	})(t.Context(), &pipeline.Delivery{Started: time.Now()})
	kept := <-contexts
	if !errors.Is(kept.Err(), context.Canceled) {
		t.Errorf("Err() = %v after the attempt", kept.Err())
	}
	select {
	case <-kept.Done():
	default:
		t.Error("Done() is open after the attempt")
	}
}

func TestTimeoutKeepsTheParentsEarlierDeadlineAndValues(t *testing.T) {
	t.Parallel()
	type key struct{}
	parent, cancel := context.WithTimeout(context.WithValue(t.Context(), key{}, "v"), time.Minute)
	defer cancel()
	_ = middleware.Timeout(time.Hour)(func(ctx context.Context, _ *pipeline.Delivery) error {
		want, _ := parent.Deadline()
		if got, ok := ctx.Deadline(); !ok || !got.Equal(want) {
			t.Errorf("deadline %s, want the parent's %s", got, want)
		}
		if ctx.Value(key{}) != "v" {
			t.Error("the parent's value is gone")
		}
		cancel()
		if !errors.Is(ctx.Err(), context.Canceled) {
			t.Errorf("Err() = %v after the parent was cancelled", ctx.Err())
		}
		return nil
	})(parent, &pipeline.Delivery{Started: time.Now()})
}
