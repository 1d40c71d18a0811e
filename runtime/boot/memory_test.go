package boot

import (
	"runtime/debug"
	"testing"
	"testing/synctest"
	"time"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		live uint64
		want int64
	}{
		{0, 128 << 20},
		{60 << 20, 128 << 20},
		{80 << 20, 128 << 20},
		{100 << 20, 168 << 20},
		{1 << 30, 2016 << 20},
	} {
		if got := memoryLimit(test.live); got != test.want {
			t.Errorf("memoryLimit(%d) = %d, want %d", test.live, got, test.want)
		}
	}
}

// The settings are the process's: this test runs alone.
func TestCollectGarbage(t *testing.T) { //nolint:paralleltest // see above
	percent, limit := debug.SetGCPercent(100), debug.SetMemoryLimit(-1)
	defer debug.SetGCPercent(percent)
	defer debug.SetMemoryLimit(limit)
	for _, test := range []struct {
		name        string
		environment map[string]string
		wantPercent int
		wantLimit   int64
	}{
		{"nothing set", nil, 400, 128 << 20},
		{"GOGC set", map[string]string{"GOGC": "50"}, 100, limit},
		{"GOMEMLIMIT set", map[string]string{"GOMEMLIMIT": "1GiB"}, 400, limit},
	} {
		t.Run(test.name, func(t *testing.T) {
			debug.SetGCPercent(100)
			debug.SetMemoryLimit(limit)
			synctest.Test(t, func(t *testing.T) {
				stop := collectGarbage(t.Context(), func(name string) (string, bool) {
					v, ok := test.environment[name]
					return v, ok
				})
				time.Sleep(3 * memoryInterval)
				stop()
			})
			if got := debug.SetGCPercent(100); got != test.wantPercent {
				t.Errorf("GOGC %d, want %d", got, test.wantPercent)
			}
			if got := debug.SetMemoryLimit(-1); got != test.wantLimit {
				t.Errorf("memory limit %d, want %d", got, test.wantLimit)
			}
		})
	}
}
