package paymentprovider

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/go-json-experiment/json"
)

// journal keeps entries in a file, one JSON object a line. What was written outlives the process, not a power cut.
type journal struct {
	file *os.File
	// size is the end of the last whole line.
	size int64
}

// openJournal opens or creates the file at path and returns the entries in it. A last line that a killed process left
// unfinished is cut off: nobody was answered.
func openJournal(path string) (*journal, []Entry, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, nil, err
	}
	j := &journal{file: file}
	entries, err := j.read()
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", path, err), file.Close())
	}
	return j, entries, nil
}

func (j *journal) read() ([]Entry, error) {
	content, err := io.ReadAll(j.file)
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for number := 1; ; number++ {
		line, rest, whole := bytes.Cut(content, []byte("\n"))
		if !whole {
			break
		}
		var e Entry
		if err := json.Unmarshal(line, &e); err != nil || e.Key == "" || e.ID == "" {
			return nil, fmt.Errorf("line %d is no entry: was the file changed? Without it the provider starts anew", number)
		}
		entries = append(entries, e)
		j.size += int64(len(line)) + 1
		content = rest
	}
	return entries, j.rewind()
}

// append writes an entry behind the last whole one.
func (j *journal) append(e Entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	line = append(line, '\n')
	if _, err := j.file.Write(line); err != nil {
		return errors.Join(err, j.rewind())
	}
	j.size += int64(len(line))
	return nil
}

// rewind cuts off what is behind the last whole line.
func (j *journal) rewind() error {
	if err := j.file.Truncate(j.size); err != nil {
		return err
	}
	_, err := j.file.Seek(j.size, io.SeekStart)
	return err
}

func (j *journal) close() error { return j.file.Close() }
