package main

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
)

// A peer that ended was once waited for until the time of the measurement was over.
func TestAPeerThatHasEndedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	j := &job{Figure: "publish", Peer: nameMillrace, Records: 1, Profile: filepath.Join(t.TempDir(), "absent", "profile")}
	_, err := perform(t.Context(), j, func(ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want %v: the peer could not write its profile", err, context.Canceled)
	}
}
