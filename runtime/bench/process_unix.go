//go:build unix

package main

import (
	"syscall"
	"time"
)

// processorTime is the time that the processors have spent on this process, its system calls included.
func processorTime() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return 0
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}
