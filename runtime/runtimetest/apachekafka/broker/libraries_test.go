package broker

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// copyDependencies is a mvn that downloads one file, into the folder of its last argument.
const copyDependencies = `for last; do :; done
dir="${last#-DoutputDirectory=}"
mkdir "$dir" && echo jar >"$dir/kafka.jar"`

func TestFetch(t *testing.T) {
	t.Setenv("PATH", mavenIn(t, copyDependencies)+string(os.PathListSeparator)+os.Getenv("PATH"))
	cache := filepath.Join(t.TempDir(), "new", "folder")
	first := fetched(t, cache)
	if _, err := os.Stat(filepath.Join(first, "kafka.jar")); err != nil {
		t.Error(err)
	}
	if names := namesIn(t, cache); len(names) != 1 {
		t.Errorf("the cache holds %v, want the libraries alone", names)
	}

	t.Setenv("PATH", t.TempDir())
	if again := fetched(t, cache); again != first {
		t.Errorf("the second run got %s, want %s, without Maven", again, first)
	}
}

func TestFetchErrors(t *testing.T) {
	tests := map[string]struct{ path, version, says string }{
		"no Maven":      {t.TempDir(), Version, "install Maven"},
		"Maven fails":   {mavenIn(t, "echo no route to host; exit 1"), Version, "exit status 1\nno route to host"},
		"not a version": {t.TempDir(), "../../etc", `-version "../../etc" is not a version`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", test.path)
			cache := t.TempDir()
			_, err := fetch(t.Context(), cache, test.version, quiet)
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error with %q in it", err, test.says)
			}
			if names := namesIn(t, cache); len(names) != 0 {
				t.Errorf("left %v in the cache", names)
			}
		})
	}
}

func TestPom(t *testing.T) {
	t.Parallel()
	var project struct {
		Dependencies []struct {
			Artifact string `xml:"artifactId"`
			Version  string `xml:"version"`
		} `xml:"dependencies>dependency"`
	}
	if err := xml.Unmarshal(pom, &project); err != nil {
		t.Fatal(err)
	}
	if first := project.Dependencies[0]; first.Artifact != "kafka_2.13" || first.Version != "${kafka.version}" {
		t.Errorf("the first dependency is %+v, want the broker of the version that is asked for", first)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := range 30 {
		lines = append(lines, strconv.Itoa(i))
	}
	tests := map[string]struct{ output, want string }{
		"empty": {"", ""},
		"short": {"a\nb\n", "a\nb"},
		"long":  {strings.Join(lines, "\n") + "\n", strings.Join(lines[10:], "\n")},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := string(tail([]byte(test.output))); got != test.want {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func fetched(t *testing.T, cache string) string {
	t.Helper()
	dir, err := fetch(t.Context(), cache, Version, quiet)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// mavenIn returns a folder whose mvn is a shell script.
func mavenIn(t *testing.T, script string) string {
	t.Helper()
	dir := t.TempDir()
	writeScript(t, filepath.Join(dir, "mvn"), script)
	return dir
}

func namesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

func quiet(string, ...any) {}
