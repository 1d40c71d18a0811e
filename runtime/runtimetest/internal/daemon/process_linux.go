package daemon

import (
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// give makes a folder that of the user that servers run as.
func give(dir string) error {
	owner, err := credential()
	if err != nil || owner == nil {
		return err
	}
	return os.Chown(dir, int(owner.Uid), int(owner.Gid))
}

// attributes have a program run as a user that is not root, which PostgreSQL demands, and end with this process.
func attributes() *syscall.SysProcAttr {
	owner, _ := credential() // New has seen its error
	return &syscall.SysProcAttr{Credential: owner, Pdeathsig: syscall.SIGKILL}
}

// credential returns the user to run servers as, nil for the user of this process.
func credential() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(found.Uid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s has the id %q", name, found.Uid)
		}
		gid, err := strconv.ParseUint(found.Gid, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("user %s has the group %q", name, found.Gid)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, fmt.Errorf("this process runs as root, and there is neither a user postgres nor a user nobody to run servers as")
}

// crash kills a process and those that it has started, none of which gets to say goodbye: while they go, the parent is
// stopped.
func crash(process *os.Process) {
	_ = process.Signal(syscall.SIGSTOP) // it may have ended by itself, here and below
	for _, child := range children(process.Pid) {
		_ = child.Kill()
	}
	_ = process.Kill()
}

// children returns the processes that a process has started (proc(5), children).
func children(pid int) []*os.Process {
	list, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid)) // a kernel without: they notice that their parent is gone
	var found []*os.Process
	for text := range strings.FieldsSeq(string(list)) {
		child, err := strconv.Atoi(text)
		if err != nil {
			continue
		}
		if process, err := os.FindProcess(child); err == nil {
			found = append(found, process)
		}
	}
	return found
}
