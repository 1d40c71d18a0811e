package process

import (
	"os/exec"
	"runtime"
)

// launcher starts processes from one thread of the operating system, which lives as long as they do: Linux is asked to
// end them with this process, but it ends them with the thread that started them (go.dev/issue/27505).
type launcher struct {
	work  chan func()
	ended chan struct{}
}

func startLauncher() *launcher {
	l := &launcher{work: make(chan func()), ended: make(chan struct{})}
	go l.run()
	return l
}

func (l *launcher) run() {
	defer close(l.ended)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for start := range l.work {
		start()
	}
}

func (l *launcher) start(c *exec.Cmd) error {
	err := make(chan error, 1)
	l.work <- func() { err <- c.Start() }
	return <-err
}

func (l *launcher) close() {
	close(l.work)
	<-l.ended
}
