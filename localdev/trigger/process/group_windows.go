package process

import (
	"errors"
	"os"
	"os/exec"
)

// canFreeze tells whether processes can be stopped between invocations.
const canFreeze = false

var errUnsupported = errors.New("not on Windows")

// separate has nothing to do: Windows has no groups of processes that would fit.
func separate(*exec.Cmd) {}

func killGroup(pid int) error {
	p, err := os.FindProcess(pid)
	if err != nil {
		return err
	}
	return p.Kill()
}

func freezeGroup(int) error { return errUnsupported }
func thawGroup(int) error   { return errUnsupported }
func terminate(int) error   { return errUnsupported }
