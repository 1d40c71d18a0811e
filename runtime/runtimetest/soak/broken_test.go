//go:build unix

package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

// TestBrokenBuildsApply checks that the changes that a soak must find out about still fit the sources.
func TestBrokenBuildsApply(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("it needs git")
	}
	patches, err := filepath.Glob("broken/*.patch")
	if err != nil || len(patches) == 0 {
		t.Fatalf("there are no patches: %v", err)
	}
	for _, patch := range patches {
		absolute, err := filepath.Abs(patch)
		if err != nil {
			t.Fatal(err)
		}
		apply := exec.CommandContext(t.Context(), "git", "apply", "--check", absolute)
		apply.Dir = "../../.."
		if out, err := apply.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: make it anew\n%s", patch, err, out)
		}
	}
}
