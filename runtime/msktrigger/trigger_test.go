package msktrigger_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/middleware"
	"github.com/millrace/millrace/runtime/msktrigger"
	"github.com/millrace/millrace/runtime/pipeline"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const placed = "dev.millrace.bench.placed.v1"

func newPipeline(tb testing.TB, handle func(context.Context, event.Event) ([]event.Event, error)) *pipeline.Pipeline {
	tb.Helper()
	p, err := pipeline.New("group", []pipeline.Function{{
		Spec: function.Spec{
			Name: "test", Topic: "orders",
			New: func(function.Lookup) (function.Handler, error) { return nil, errors.New("not called") },
		},
		Handler: function.Raw(handle, placed),
	}}, nil, nil, &pipeline.Options{Middleware: middleware.Standard(pipeline.Backoff{First: time.Second, Max: time.Minute})})
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func TestARecordIsTriedAgainWithinItsInvocation(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		p := newPipeline(t, func(context.Context, event.Event) ([]event.Event, error) {
			if calls++; calls == 1 {
				return nil, errors.New("boom")
			}
			return nil, nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		answer, err := msktrigger.New(p, nil).Invoke(ctx, typical(t, 1))
		if string(answer) != `{"batchItemFailures":[]}` || err != nil || calls != 2 {
			t.Errorf("answer %s, %v after %d calls", answer, err, calls)
		}
	})
}

func BenchmarkInvoke(b *testing.B) {
	p := newPipeline(b, func(context.Context, event.Event) ([]event.Event, error) { return nil, nil })
	trigger := msktrigger.New(p, nil)
	payload := typical(b, 100)
	ctx, cancel := context.WithTimeout(b.Context(), time.Minute)
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := trigger.Invoke(ctx, payload); err != nil {
			b.Fatal(err)
		}
	}
}
