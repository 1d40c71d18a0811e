package process

import (
	"os/exec"
	"syscall"
)

// separate puts a process into a group of its own, and lets it end with this one, however that ends.
func separate(c *exec.Cmd) {
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
