package main

import (
	"bytes"
	"fmt"
	"os"
	"time"
)

// moment is a point in time, with what the process had used until then.
type moment struct {
	at        time.Time
	processor time.Duration
}

func now() moment { return moment{at: time.Now(), processor: processorTime()} }

// peakMemory is the most memory that this process has occupied, in bytes; 0 where the system has no /proc. The system's
// other answer, of getrusage, includes the process that started this one.
func peakMemory() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, rest, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	var kibibytes int64
	if _, err := fmt.Sscan(string(rest), &kibibytes); err != nil {
		return 0
	}
	return kibibytes << 10
}
