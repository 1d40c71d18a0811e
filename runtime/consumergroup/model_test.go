package consumergroup_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// simulated tells whether the process runs in simulated time, which begins in 2009.
func simulated() bool { return time.Now().Year() == 2009 }

func TestModel(t *testing.T) {
	if !simulated() {
		t.Skip("needs simulated time")
	}
	rapid.Check(t, func(t *rapid.T) {
		h := histories().Draw(t, "history")
		w, err := newWorld(h)
		if err != nil {
			t.Fatal(err)
		}
		err = w.play(t.Context())
		w.close()
		if err != nil {
			t.Fatal(err)
		}
		if violations, log := w.journal.verdict(); len(violations) > 0 {
			t.Fatalf("%s\n%s\n%s", strings.Join(violations, "\n"), h, log)
		}
	})
}

var _ = exec.Command
var _ = filepath.Join
