package broker

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestJavaVersion(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		output string
		major  int
		ok     bool
	}{
		"Java 17":        {"openjdk version \"17.0.15\" 2025-04-15\nOpenJDK Runtime Environment", 17, true},
		"Java 8":         {`java version "1.8.0_412"`, 8, true},
		"first release":  {`openjdk version "25" 2025-09-16`, 25, true},
		"early access":   {`openjdk version "26-ea" 2026-03-17`, 26, true},
		"options before": {"Picked up JAVA_TOOL_OPTIONS: -Xmx1g\nopenjdk version \"21.0.2\"", 21, true},
		"other program":  {"gij (GNU libgcj) 4.2", 0, false},
		"nothing":        {"", 0, false},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if major, ok := javaVersion([]byte(test.output)); major != test.major || ok != test.ok {
				t.Errorf("got %d, %v, want %d, %v", major, ok, test.major, test.ok)
			}
		})
	}
}

func TestFindJava(t *testing.T) {
	tests := map[string]struct{ home, says string }{
		"missing":        {t.TempDir(), "install a JRE or set JAVA_HOME"},
		"too old":        {javaHome(t, `echo 'openjdk version "11.0.22"' >&2`), "is Java 11; an Apache Kafka broker needs 17"},
		"broken":         {javaHome(t, "exit 4"), "exit status 4"},
		"something else": {javaHome(t, "echo coffee"), "does not name a version"},
		"good":           {javaHome(t, `echo 'openjdk version "17.0.15"' >&2`), ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("JAVA_HOME", test.home)
			java, err := findJava(t.Context())
			switch {
			case test.says == "" && (err != nil || java != filepath.Join(test.home, "bin", "java")):
				t.Errorf("got %q, %v", java, err)
			case test.says != "" && (err == nil || !strings.Contains(err.Error(), test.says)):
				t.Errorf("got %v, want an error with %q in it", err, test.says)
			}
		})
	}
}

// javaHome returns a JAVA_HOME whose java is a shell script.
func javaHome(t *testing.T, script string) string {
	t.Helper()
	home := t.TempDir()
	writeScript(t, filepath.Join(home, "bin", "java"), script)
	return home
}

func writeScript(t *testing.T, path, script string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}
