//go:build !linux

package daemon

import "syscall"

// give does nothing: servers run as the user of this process.
func give(string) error { return nil }

func attributes() *syscall.SysProcAttr { return nil }
