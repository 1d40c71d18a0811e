package chaos

import "os"

// Point is where, of something that is done, a process crashes.
type Point string

// The points.
const (
	// Before: nothing was done.
	Before Point = "before"
	// After: it was done, to its end, and nobody was told.
	After Point = "after"
)

// Kill ends the process as SIGKILL from outside does: nothing is flushed, nothing is closed, nobody is told. It does not
// return.
func Kill() {
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		err = self.Kill()
	}
	if err != nil {
		panic(err)
	}
	select {}
}
