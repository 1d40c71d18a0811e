package chaos_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/chaos"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestMain(m *testing.M) {
	crashWhereAsked()
	goleak.VerifyTestMain(m)
}

var (
	errFault = errors.New("a fault")
	errOwn   = errors.New("the handler's own")
)

// attempts makes n attempts by way of m on a handler that returns own, and returns their errors and how often it was called.
func attempts(t *testing.T, n int, m pipeline.Middleware, own error) (errs []error, calls int) {
	t.Helper()
	handle := m(func(context.Context, *pipeline.Delivery) error { calls++; return own })
	for range n {
		errs = append(errs, handle(t.Context(), &pipeline.Delivery{}))
	}
	return errs, calls
}

func TestWhen(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		when chaos.When
		want []int64
	}{
		{"always", chaos.Always(), []int64{1, 2, 3, 4, 5, 6}},
		{"the fourth", chaos.Nth(4), []int64{4}},
		{"the first two", chaos.First(2), []int64{1, 2}},
		{"every third", chaos.Every(3), []int64{3, 6}},
		{"every 0th", chaos.Every(0), nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			var got []int64
			for n := int64(1); n <= 6; n++ {
				if tc.when(n) {
					got = append(got, n)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("strikes calls %v, want %v", got, tc.want)
			}
		})
	}
}

func TestFaultsOfAttempts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		fault pipeline.Middleware
		own   error
		want  []error
		calls int
	}{
		{"fail", chaos.Fail(chaos.Nth(2), errFault), nil, []error{nil, errFault, nil}, 2},
		{"fail after", chaos.FailAfter(chaos.Nth(2), errFault), nil, []error{nil, errFault, nil}, 3},
		{"fail after a failure", chaos.FailAfter(chaos.Nth(2), errFault), errOwn, []error{errOwn, errOwn, errOwn}, 3},
		{"duplicate", chaos.Duplicate(chaos.Nth(2)), nil, []error{nil, nil, nil}, 4},
		{"duplicate of a failure", chaos.Duplicate(chaos.Nth(2)), errOwn, []error{errOwn, errOwn, errOwn}, 3},
		{"crash that does not come", chaos.Crash(chaos.Nth(4), chaos.Before), nil, []error{nil, nil, nil}, 3},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			errs, calls := attempts(t, len(tc.want), tc.fault, tc.own)
			if !slices.Equal(errs, tc.want) || calls != tc.calls {
				t.Errorf("got %v after %d calls of the handler, want %v after %d", errs, calls, tc.want, tc.calls)
			}
		})
	}
}

func TestEachFunctionCountsForItself(t *testing.T) {
	t.Parallel()
	fault := chaos.Fail(chaos.Nth(2), errFault)
	for range 2 {
		if errs, _ := attempts(t, 2, fault, nil); errs[0] != nil || !errors.Is(errs[1], errFault) {
			t.Errorf("got %v, want the second to fail", errs)
		}
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	defer func() {
		if v := recover(); v != "on purpose" {
			t.Errorf("recovered %v", v)
		}
	}()
	attempts(t, 1, chaos.Panic(chaos.Always(), "on purpose"), nil)
	t.Error("it did not panic")
}

func TestSlowWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		errs, calls := attempts(t, 4, chaos.Slow(chaos.Every(2), time.Second), nil)
		if took := time.Since(began); took != 2*time.Second || calls != 4 || errs[1] != nil {
			t.Errorf("4 attempts took %s with %d calls: %v", took, calls, errs)
		}
	})
}

func TestSlowEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		called := false
		handler := func(context.Context, *pipeline.Delivery) error { called = true; return nil }
		began := time.Now()
		err := chaos.Slow(chaos.Always(), time.Hour)(handler)(ctx, &pipeline.Delivery{})
		if took := time.Since(began); took != time.Second || !errors.Is(err, context.DeadlineExceeded) || called {
			t.Errorf("%v after %s, handler called: %t", err, took, called)
		}
	})
}

func TestHangPaysNoHeedToItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		began := time.Now()
		err := chaos.Hang(chaos.Always(), time.Hour)(func(context.Context, *pipeline.Delivery) error { return nil })(ctx, &pipeline.Delivery{})
		if took := time.Since(began); took != time.Hour || err != nil {
			t.Errorf("%v after %s", err, took)
		}
	})
}
