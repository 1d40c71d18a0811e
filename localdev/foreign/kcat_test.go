package foreign_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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

// header returns the value of the first header of that name, empty where there is none.
func (r *record) header(name string) string {
	for i := 0; i+1 < len(r.Headers); i += 2 {
		if *r.Headers[i] == name && r.Headers[i+1] != nil {
			return *r.Headers[i+1]
		}
	}
	return ""
}

// attribute returns a CloudEvents attribute in binary mode.
func (r *record) attribute(name string) string {
	return r.header("ce_" + name)
}

// send lets kcat write one record. flags are kcat's for headers and so on; with -Z an empty value is null.
func (m *millrace) send(t *testing.T, topic, key string, value []byte, flags ...string) {
	t.Helper()
	args := append([]string{"-P", "-b", m.kafka, "-t", topic}, flags...)
	if len(value) == 0 {
		// kcat takes no record from an empty file or line, but one from a line that ends after the key.
		kcat(t, key+":", append(args, "-K", ":")...)
		return
	}
	// A file is one record, whatever bytes it holds; standard input would be cut into lines.
	file := filepath.Join(t.TempDir(), "value")
	if err := os.WriteFile(file, value, 0o600); err != nil {
		t.Fatal(err)
	}
	kcat(t, "", append(args, "-k", key, file)...)
}

// read lets kcat read a topic from its start to its end.
func (m *millrace) read(t *testing.T, topic string) []record {
	t.Helper()
	var records []record
	lines := json.NewDecoder(bytes.NewReader(
		kcat(t, "", "-C", "-b", m.kafka, "-t", topic, "-o", "beginning", "-e", "-q", "-J")))
	for lines.More() {
		var r record
		if err := lines.Decode(&r); err != nil {
			t.Fatalf("what kcat printed of %s: %v", topic, err)
		}
		records = append(records, r)
	}
	return records
}

func kcat(t *testing.T, input string, args ...string) []byte {
	t.Helper()
	var stdout, stderr bytes.Buffer
	run := exec.CommandContext(t.Context(), "kcat", args...)
	run.Stdin, run.Stdout, run.Stderr = strings.NewReader(input), &stdout, &stderr
	if err := run.Run(); err != nil {
		t.Fatalf("kcat %q: %v\n%s", args, err, stderr.Bytes())
	}
	return stdout.Bytes()
}
