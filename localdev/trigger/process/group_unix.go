//go:build unix

package process

import "syscall"

// canFreeze tells whether processes can be stopped between invocations.
const canFreeze = true

// The following reach a process and its children: it leads a group of its own, see separate.

func killGroup(pid int) error   { return syscall.Kill(-pid, syscall.SIGKILL) }
func freezeGroup(pid int) error { return syscall.Kill(-pid, syscall.SIGSTOP) }
func thawGroup(pid int) error   { return syscall.Kill(-pid, syscall.SIGCONT) }

// terminate asks a process alone to end.
func terminate(pid int) error { return syscall.Kill(pid, syscall.SIGTERM) }
