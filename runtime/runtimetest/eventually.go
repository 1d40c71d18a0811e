package runtimetest

import (
	"testing"
	"time"
)

// Eventually waits until condition holds. It fails the test, naming what was waited for, when that takes longer than
// [Patience]. condition is called from the caller's goroutine, every few milliseconds.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for deadline := time.Now().Add(Patience); !condition(); pause(t) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for: %s", Patience, what)
		}
	}
}

// pause waits until the next look at a condition, or until the test is over.
func pause(t testing.TB) {
	select {
	case <-t.Context().Done():
	case <-time.After(10 * time.Millisecond):
	}
}
