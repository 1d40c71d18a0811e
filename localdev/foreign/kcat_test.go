package foreign_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// record is a Kafka record as kcat -J prints it.
type record struct {
	Partition int32   `json:"partition"`
	Offset    int64   `json:"offset"`
	Key       *string `json:"key"`
	Payload   *string `json:"payload"`
	// Headers are names and values in turn; a null value is nil.
	Headers []*string `json:"headers"`
}

// header returns the value of the first header of that name.
func (r *record) header(name string) (string, bool) {
	for i := 0; i+1 < len(r.Headers); i += 2 {
		if *r.Headers[i] == name && r.Headers[i+1] != nil {
			return *r.Headers[i+1], true
		}
	}
	return "", false
}

// attribute returns a CloudEvents attribute in binary mode.
func (r *record) attribute(name string) string {
	value, _ := r.header("ce_" + name)
	return value
}

// send lets kcat write one record. extra are kcat's flags for key, headers and so on.
func (m *millrace) send(t *testing.T, topic string, value []byte, extra ...string) {
	t.Helper()
	// A file is one record, whatever bytes it holds; standard input would be cut into lines.
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, value, 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"-P", "-b", m.kafka, "-t", topic}, extra...)
	kcat(t, append(args, file)...)
}

// read lets kcat read a topic from its start to its end.
func (m *millrace) read(t *testing.T, topic string) []record {
	t.Helper()
	var records []record
	lines := json.NewDecoder(bytes.NewReader(
		kcat(t, "-C", "-b", m.kafka, "-t", topic, "-o", "beginning", "-e", "-q", "-J")))
	for lines.More() {
		var r record
		if err := lines.Decode(&r); err != nil {
			t.Fatalf("what kcat printed of %s: %v", topic, err)
		}
		records = append(records, r)
	}
	return records
}

func kcat(t *testing.T, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	run := exec.CommandContext(t.Context(), "kcat", args...)
	run.Stdout, run.Stderr = &stdout, &stderr
	if err := run.Run(); err != nil {
		t.Fatalf("kcat %q: %v\n%s", args, err, stderr.Bytes())
	}
	return stdout.Bytes()
}
