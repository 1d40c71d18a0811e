//go:build !linux

package daemon

import (
	"os"
	"syscall"
)

// give does nothing: servers run as the user of this process.
func give(string) error { return nil }

func attributes() *syscall.SysProcAttr { return nil }

// crash kills a process. Those that it has started notice that it is gone.
func crash(process *os.Process) {
	_ = process.Kill() // it may have ended by itself
}
