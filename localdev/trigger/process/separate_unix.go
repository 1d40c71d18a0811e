//go:build unix && !linux

package process

import (
	"os/exec"
	"syscall"
)

// separate puts a process into a group of its own.
func separate(c *exec.Cmd) { c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }
