package process_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/localdev/trigger/process"
)

// program prints a word if it was built as for Lambda.
const program = `//go:build lambda.norpc

package main

import "fmt"

func main() { fmt.Println("WORD") }
`

// module writes a module with a function in functions/orders, in its main package's folder below that.
func module(t *testing.T, below string) (root string) {
	t.Helper()
	root = t.TempDir()
	write(t, filepath.Join(root, "go.mod"), "module example.org/shop\n\ngo 1.26\n")
	write(t, filepath.Join(root, "functions", "orders", below, "main.go"), strings.ReplaceAll(program, "WORD", "first"))
	return root
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func build(t *testing.T, s process.Source, o *process.BuildOptions) process.Binary {
	t.Helper()
	b, err := process.Build(t.Context(), s, o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func says(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command(path).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", path, err, out)
	}
	return strings.TrimSpace(string(out))
}

func TestBuild(t *testing.T) {
	t.Parallel()
	for name, below := range map[string]string{"in the folder": "", "in bootstrap": "bootstrap"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := module(t, below)
			s := process.Source{Root: root, CodeURI: "functions/orders", LogicalID: "Orders"}
			o := &process.BuildOptions{Cache: t.TempDir()}
			first := build(t, s, o)
			if first.Prebuilt || !strings.HasPrefix(first.Path, o.Cache) || says(t, first.Path) != "first" {
				t.Errorf("got %+v", first)
			}
			write(t, filepath.Join(root, "functions", "orders", below, "main.go"), strings.ReplaceAll(program, "WORD", "second"))
			if changed := build(t, s, o); changed.Path != first.Path || says(t, changed.Path) != "second" {
				t.Errorf("got %+v after a change", changed)
			}
		})
	}
}

func TestBuildTakesWhatIsBuilt(t *testing.T) {
	t.Parallel()
	root := module(t, "bootstrap")
	s := process.Source{Root: root, CodeURI: filepath.Join(root, "functions/orders/bootstrap"), LogicalID: "Orders"}
	o := &process.BuildOptions{Cache: t.TempDir()}
	for _, built := range []string{"bin/functions/orders/bootstrap", ".aws-sam/build/Orders/bootstrap"} {
		path := filepath.Join(root, built)
		write(t, path, "no binary")
		if b := build(t, s, o); b.Path == path {
			t.Errorf("%s is no binary", built)
		}
		goBuild(t, s.CodeURI, path)
		b := build(t, s, o)
		if b.Path != path || !b.Prebuilt || time.Since(b.Modified) > time.Minute {
			t.Errorf("got %+v, want %s", b, path)
		}
	}
	if b := build(t, s, &process.BuildOptions{Cache: o.Cache, Fresh: true}); b.Prebuilt || says(t, b.Path) != "first" {
		t.Errorf("got %+v, want a fresh one", b)
	}
	foreign(t, filepath.Join(root, ".aws-sam/build/Orders/bootstrap"))
	if b := build(t, s, o); b.Path != filepath.Join(root, "bin/functions/orders/bootstrap") {
		t.Errorf("got %+v, want the one for this machine", b)
	}
}

// foreign makes a binary say that it is for another processor.
func foreign(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	here, other := "GOARCH="+runtime.GOARCH, "GOARCH="+strings.Repeat("x", len(runtime.GOARCH))
	if err := os.WriteFile(path, bytes.ReplaceAll(data, []byte(here), []byte(other)), 0o600); err != nil {
		t.Fatal(err)
	}
}

func goBuild(t *testing.T, dir, target string) {
	t.Helper()
	command := exec.Command("go", "build", "-tags", "lambda.norpc", "-o", target, ".")
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0")
	if err := os.Remove(target); err != nil {
		t.Fatal(err)
	}
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

func TestBuildTellsWhatIsWrong(t *testing.T) {
	t.Parallel()
	root := module(t, "")
	write(t, filepath.Join(root, "functions/broken/main.go"), "package main\n\nfunc main() { undefinedThing() }\n")
	o := &process.BuildOptions{Cache: t.TempDir()}
	_, err := process.Build(t.Context(), process.Source{Root: root, CodeURI: "functions/broken"}, o)
	failed, ok := errors.AsType[*process.BuildError](err)
	if !ok || failed.Dir != filepath.Join(root, "functions/broken") || !strings.Contains(failed.Output, "main.go:3:15: undefined: undefinedThing") ||
		!strings.Contains(err.Error(), failed.Output) {
		t.Errorf("got %v", err)
	}
	if _, err := process.Build(t.Context(), process.Source{Root: root, CodeURI: "functions/missing", LogicalID: "F"}, o); !errors.Is(err, os.ErrNotExist) ||
		!strings.Contains(err.Error(), "F") {
		t.Errorf("got %v", err)
	}
	if _, err := process.Build(t.Context(), process.Source{Root: root, LogicalID: "Image"}, o); err == nil || !strings.Contains(err.Error(), "Image") {
		t.Errorf("got %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := process.Build(ended, process.Source{Root: root, CodeURI: "functions/orders"}, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
