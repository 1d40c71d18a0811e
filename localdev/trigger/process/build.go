package process

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// maxBuildOutput is the most that a [BuildError] tells of what the compiler said.
const maxBuildOutput = 16 << 10

// Source tells where the code of a function is.
type Source struct {
	// Root is the folder of the template, and CodeURI that of the function's code, relative to Root or absolute. The main
	// package is in CodeURI, or in a folder "bootstrap" below it.
	Root, CodeURI string
	// LogicalID is the function's name in the template, by which `sam build` names its results.
	LogicalID string
}

// BuildOptions are the settings of a build. The zero value is usable.
type BuildOptions struct {
	// Cache is the folder for what is built. Default: "millrace" in the user's cache folder.
	Cache string
	// Fresh builds even if there is a binary of `sam build` or `make build`.
	Fresh bool
}

// Binary is a bootstrap binary that runs on this machine.
type Binary struct {
	// Path is the file.
	Path string
	// Prebuilt tells that it was found where `sam build` or `make build` leave it: it is as old as Modified.
	Prebuilt bool
	Modified time.Time
}

// BuildError says that the go command could not build a function.
type BuildError struct {
	// Dir is the folder of the main package, Output what the go command said of it.
	Dir, Output string
	Err         error
}

func (e *BuildError) Error() string {
	return fmt.Sprintf("go build in %s: %v\n%s", e.Dir, e.Err, e.Output)
}

// Unwrap returns the cause.
func (e *BuildError) Unwrap() error { return e.Err }

// Build returns a function's bootstrap binary. It is the one that `sam build` or `make build` left, if there is one for
// this machine: .aws-sam/build/LOGICALID/bootstrap, bin/functions/NAME/bootstrap. Else it is built into a cache, static
// and with the tag lambda.norpc as for Lambda, but for this machine, with what a debugger needs, and with SQLite and all stores
// of handled events (tags sqlite and stores), for where no PostgreSQL is. The go command knows what has to be built again, so it is
// cheap to call Build before each start.
func Build(ctx context.Context, s Source, o *BuildOptions) (Binary, error) {
	if o == nil {
		o = &BuildOptions{}
	}
	if !o.Fresh {
		for _, path := range s.prebuilt() {
			if b, ok := usable(path); ok {
				return b, nil
			}
		}
	}
	return s.build(ctx, o.Cache)
}

func (s Source) codeDir() string {
	if filepath.IsAbs(s.CodeURI) {
		return filepath.Clean(s.CodeURI)
	}
	return filepath.Join(s.Root, s.CodeURI)
}

// name is the folder's name in functions/.
func (s Source) name() string {
	dir := s.codeDir()
	if filepath.Base(dir) == "bootstrap" {
		dir = filepath.Dir(dir)
	}
	return filepath.Base(dir)
}

// prebuilt lists where a binary may be.
func (s Source) prebuilt() []string {
	list := []string{filepath.Join(s.Root, "bin", "functions", s.name(), "bootstrap")}
	if s.LogicalID != "" {
		list = append([]string{filepath.Join(s.Root, ".aws-sam", "build", s.LogicalID, "bootstrap")}, list...)
	}
	return list
}

// usable tells whether a file is a Go binary for this machine: the one for the cloud may have another processor.
func usable(path string) (Binary, bool) {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return Binary{}, false
	}
	for _, setting := range info.Settings {
		if setting.Key == "GOOS" && setting.Value != runtime.GOOS || setting.Key == "GOARCH" && setting.Value != runtime.GOARCH {
			return Binary{}, false
		}
	}
	b, err := binary(path)
	b.Prebuilt = true
	return b, err == nil
}

func binary(path string) (Binary, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return Binary{}, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return Binary{}, err
	}
	return Binary{Path: path, Modified: info.ModTime()}, nil
}

func (s Source) build(ctx context.Context, cache string) (Binary, error) {
	dir, err := s.mainDir()
	if err != nil {
		return Binary{}, err
	}
	target, err := target(cache, dir)
	if err != nil {
		return Binary{}, err
	}
	command := exec.CommandContext(ctx, "go", "build", "-tags", "lambda.norpc,sqlite,stores", "-o", target, ".")
	command.Dir = dir
	command.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		return Binary{}, &BuildError{Dir: dir, Output: excerpt(output.Bytes()), Err: cmp.Or(ctx.Err(), err)}
	}
	return binary(target)
}

// mainDir is the folder of the main package.
func (s Source) mainDir() (string, error) {
	if s.CodeURI == "" {
		return "", fmt.Errorf("function %s has no folder of code to build", s.LogicalID)
	}
	dir, err := filepath.Abs(s.codeDir())
	if err != nil {
		return "", err
	}
	below := filepath.Join(dir, "bootstrap")
	if info, err := os.Stat(below); err == nil && info.IsDir() {
		return below, nil
	}
	if _, err := os.ReadDir(dir); err != nil {
		return "", fmt.Errorf("the code of function %s: %w", s.LogicalID, err)
	}
	return dir, nil
}

// target is where the binary of a main package is kept, one place for each.
func target(cache, dir string) (string, error) {
	if cache == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("a folder for built functions: %w", err)
		}
		cache = filepath.Join(user, "millrace")
	}
	cache, err := filepath.Abs(cache)
	if err != nil {
		return "", err
	}
	name := "bootstrap"
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	return filepath.Join(cache, fmt.Sprintf("%x", sha256.Sum256([]byte(dir)))[:16], name), nil
}

// excerpt is the beginning of what the go command said, for the first mistake leads to the others.
func excerpt(output []byte) string {
	if len(output) > maxBuildOutput {
		output = append(output[:maxBuildOutput:maxBuildOutput], "\n…"...)
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(output), "\uFFFD"))
}
