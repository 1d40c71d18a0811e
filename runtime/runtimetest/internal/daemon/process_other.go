//go:build !linux

package daemon

import (
	"os"
	"syscall"
)

// give does nothing: servers run as the user of this process.
func give(string) error { return nil }

func attributes() *syscall.SysProcAttr { return nil }

// children does not know any: they notice that their parent is gone.
func children(int) []*os.Process { return nil }
