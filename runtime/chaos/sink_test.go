package chaos_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/millrace/millrace/runtime/chaos"
	"github.com/millrace/millrace/runtime/pipeline"
)

// topics is a Sink that keeps the topics of what was published, and fails with err.
type topics struct {
	published []string
	err       error
}

func (s *topics) Send(_ context.Context, outputs ...pipeline.Output) error {
	if s.err != nil {
		return s.err
	}
	for _, o := range outputs {
		s.published = append(s.published, o.Topic)
	}
	return nil
}

func TestFaultsOfSinks(t *testing.T) {
	t.Parallel()
	type wrap func(pipeline.Sink, chaos.When, error) pipeline.Sink
	for _, tc := range []struct {
		name string
		wrap wrap
		own  error
		// second is what publishing b and c, the struck call, returns; published is what the topics hold in the end.
		second    error
		published []string
	}{
		{"fail", chaos.FailSend, nil, errFault, []string{"a", "d"}},
		{"lose the answer", chaos.LoseAnswer, nil, errFault, []string{"a", "b", "c", "d"}},
		{"publish a part", chaos.SendPart, nil, errFault, []string{"a", "b", "d"}},
		{"lose the answer that it failed", chaos.LoseAnswer, errOwn, errOwn, nil},
		{"publish a part and fail", chaos.SendPart, errOwn, errOwn, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			kept := &topics{err: tc.own}
			sink := tc.wrap(kept, chaos.Nth(2), errFault)
			first := sink.Send(t.Context(), pipeline.Output{Topic: "a"})
			second := sink.Send(t.Context(), pipeline.Output{Topic: "b"}, pipeline.Output{Topic: "c"})
			third := sink.Send(t.Context(), pipeline.Output{Topic: "d"})
			if !errors.Is(first, tc.own) || !errors.Is(second, tc.second) || !errors.Is(third, tc.own) {
				t.Errorf("errors %v, %v and %v", first, second, third)
			}
			if !slices.Equal(kept.published, tc.published) {
				t.Errorf("published %v, want %v", kept.published, tc.published)
			}
		})
	}
}
