package broker

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"time"
)

//go:embed pom.xml
var pom []byte

var versionForm = regexp.MustCompile(`^[0-9]+(\.[0-9]+){1,3}(-[a-z0-9]+)?$`)

// DefaultCache is a folder of the user or, for a user without one, of the system.
func DefaultCache() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		dir = os.TempDir()
	}
	return filepath.Join(dir, "millrace", "apachekafka")
}

// fetch returns the folder of the broker's libraries. Maven downloads them on the first run; later runs find them in
// cache. The folder appears there whole or not at all, so that runs at the same time or cut short do no harm.
func fetch(ctx context.Context, cache, version string, progress func(format string, args ...any)) (string, error) {
	if !versionForm.MatchString(version) {
		return "", fmt.Errorf("-version %q is not a version such as %s", version, Version)
	}
	libraries := filepath.Join(cache, fmt.Sprintf("%s-%.4x", version, sha256.Sum256(pom)))
	if _, err := os.Stat(libraries); err == nil {
		return libraries, nil
	}
	maven, err := exec.LookPath("mvn")
	if err != nil {
		return "", fmt.Errorf("the first run downloads Apache Kafka with Maven: %w; install Maven", err)
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", fmt.Errorf("folder for libraries: %w; choose another with -cache", err)
	}
	work, err := os.MkdirTemp(cache, "download-")
	if err != nil {
		return "", fmt.Errorf("folder for libraries: %w; choose another with -cache", err)
	}
	defer os.RemoveAll(work)

	progress("Maven downloads Apache Kafka %s into %s", version, libraries)
	began := time.Now()
	downloaded, err := download(ctx, maven, work, version)
	if err != nil {
		return "", err
	}
	if err := os.Rename(downloaded, libraries); err != nil && !errors.Is(err, fs.ErrExist) {
		return "", fmt.Errorf("keep the libraries: %w", err)
	}
	progress("downloaded in %s", since(began))
	return libraries, nil
}

// download lets Maven resolve the pom and copy what it names into a folder below work.
func download(ctx context.Context, maven, work, version string) (string, error) {
	pomFile := filepath.Join(work, "pom.xml")
	if err := os.WriteFile(pomFile, pom, 0o644); err != nil {
		return "", err
	}
	libraries := filepath.Join(work, "libraries")
	output, err := exec.CommandContext(ctx, maven,
		"--batch-mode", "--quiet", "--file", pomFile, "-Dkafka.version="+version,
		"dependency:copy-dependencies", "-DincludeScope=runtime", "-DoutputDirectory="+libraries,
	).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("maven could not download Apache Kafka %s: %w\n%s", version, err, tail(output))
	}
	return libraries, nil
}

// tail returns the last lines of a program's output.
func tail(output []byte) []byte {
	const lines = 20
	output = bytes.TrimSpace(output)
	start := len(output)
	for range lines {
		if start = bytes.LastIndexByte(output[:start], '\n'); start < 0 {
			return output
		}
	}
	return output[start+1:]
}

func since(t time.Time) time.Duration { return time.Since(t).Round(100 * time.Millisecond) }
