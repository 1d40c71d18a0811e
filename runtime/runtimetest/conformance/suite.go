package conformance

import (
	"slices"
	"testing"
)

// testCase is a law in a situation.
type testCase struct {
	name  string
	needs []Capability
	run   func(t *testing.T, d Door)
}

// cases is the table.
var cases = [][]testCase{outcomes, orders, sinks, restarts, rebalances, logs, offsets, kept, exactlyOnce, loads}

func (d *Door) can(c Capability) bool { return slices.Contains(d.Capabilities, c) }

// Run runs every case for every door, each as a subtest named after door and case.
func Run(t *testing.T, doors ...Door) {
	t.Helper()
	for _, d := range doors {
		t.Run(d.Name, func(t *testing.T) {
			t.Parallel()
			for _, c := range slices.Concat(cases...) {
				t.Run(c.name, func(t *testing.T) {
					t.Parallel()
					for _, needed := range c.needs {
						if !d.can(needed) {
							t.Skipf("the door lacks: %s", needed)
						}
					}
					c.run(t, d)
				})
			}
		})
	}
}
