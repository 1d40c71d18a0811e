package broker

import (
	"errors"
	"fmt"
	"path/filepath"
)

// DataInUseError says that another process uses the data folder.
type DataInUseError struct{ Dir string }

func (e *DataInUseError) Error() string {
	return fmt.Sprintf("the data folder %s is in use by another process", e.Dir)
}

// errLocked is what lockFile returns when another process holds the lock.
var errLocked = errors.New("locked")

// lock takes the folder for this process. The operating system releases it when the process dies, however it dies.
func lock(dir string) (unlock func() error, err error) {
	unlock, err = lockFile(filepath.Join(dir, "lock"))
	if errors.Is(err, errLocked) {
		return nil, &DataInUseError{Dir: dir}
	}
	if err != nil {
		return nil, fmt.Errorf("lock of the data folder: %w", err)
	}
	return unlock, nil
}
