package main

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"sync"
	"time"
)

// moment is a point in time, with what the process had used until then.
type moment struct {
	at        time.Time
	processor time.Duration
}

func now() moment { return moment{at: time.Now(), processor: processorTime()} }

// since returns events per second, and processor time per event in µs, between start and m.
func (m moment) since(start moment, events int) (rate, micros float64) {
	rate = float64(events) / m.at.Sub(start.at).Seconds()
	return rate, float64((m.processor - start.processor).Nanoseconds()) / 1000 / float64(events)
}

// growth watches how far resident memory grows.
type growth struct {
	before, peak int64
	stop         chan struct{}
	stopped      sync.WaitGroup
}

// watchMemory starts from memory as clean as it gets.
func watchMemory() *growth {
	debug.FreeOSMemory()
	g := &growth{before: residentBytes(), stop: make(chan struct{})}
	g.stopped.Go(func() {
		tick := time.NewTicker(10 * time.Millisecond)
		defer tick.Stop()
		for {
			g.peak = max(g.peak, residentBytes())
			select {
			case <-tick.C:
			case <-g.stop:
				return
			}
		}
	})
	return g
}

// mebibytes ends the watch and returns the growth.
func (g *growth) mebibytes() float64 {
	close(g.stop)
	g.stopped.Wait()
	return float64(g.peak-g.before) / (1 << 20)
}

// residentBytes is the memory that the process occupies, 0 where the system has no /proc.
func residentBytes() int64 {
	if runtime.GOOS != "linux" {
		return 0
	}
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
