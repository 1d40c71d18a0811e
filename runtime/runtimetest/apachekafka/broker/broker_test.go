package broker

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestConfigure(t *testing.T) {
	t.Parallel()
	b, err := configure("", "", &Options{
		Listeners: []Listener{{Address: "127.0.0.1:1", Advertised: "127.0.0.1:2"}, {Address: "127.0.0.1:3", Advertised: "127.0.0.1:4"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(b.file("server.properties"))
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"\nlisteners=PLAINTEXT://" + b.Addr() + ",CONTROLLER://127.0.0.1:",
		",VIA0://127.0.0.1:1,VIA1://127.0.0.1:3\n",
		"advertised.listeners=PLAINTEXT://" + b.Addr() + ",VIA0://127.0.0.1:2,VIA1://127.0.0.1:4\n",
		",PLAINTEXT:PLAINTEXT,VIA0:PLAINTEXT,VIA1:PLAINTEXT\n",
		"log.dirs=" + b.file("data") + "\n",
	} {
		if !strings.Contains(string(settings), want) {
			t.Errorf("want %q in the settings:\n%s", want, settings)
		}
	}
	b.Close()
	if _, err := os.Stat(b.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the broker's folder after stop: %v", err)
	}
}

func TestConfigureInAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b, err := configure("", "", &Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	if _, err := os.Stat(filepath.Join(dir, "server.properties")); err != nil {
		t.Errorf("the caller's folder was not left alone: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	tests := map[string]struct{ script, says string }{
		"ends at once": {
			`case "$*" in -version) echo 'version "21"';; *kafka.Kafka*) echo 'Address already in use';; esac`,
			"has ended; the end of its log:\nAddress already in use",
		},
		"cannot format": {
			`[ "$1" = -version ] && echo 'version "21"' || { echo 'no space left'; exit 1; }`,
			"format the broker's storage: exit status 1\nno space left",
		},
		"no version": {"exit 1", "-version: exit status 1"},
	}
	cache := t.TempDir()
	keepLibraries(t, cache)
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Setenv("JAVA_HOME", javaHome(t, test.script))
			_, err := Start(t.Context(), &Options{Cache: cache})
			if err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want an error with %q in it", err, test.says)
			}
		})
	}
}

// TestStop ends a process that is no broker in each of the ways.
func TestStop(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		b := &Broker{java: javaHome(t, "exec sleep 100") + "/bin/java", dir: t.TempDir()}
		if err := b.launch(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(b.Stop(signal), b.Stop(signal)); err != nil {
			t.Errorf("%s: %v", signal, err)
		}
		if err := b.Wait(t.Context()); err == nil {
			t.Errorf("%s: a broker that was stopped is taken for one that runs", signal)
		}
	}
}

func TestFreeAddresses(t *testing.T) {
	t.Parallel()
	addresses, err := FreeAddresses(2)
	if err != nil || len(addresses) != 2 || addresses[0] == addresses[1] {
		t.Errorf("got %v, %v", addresses, err)
	}
}

func TestClusterID(t *testing.T) {
	t.Parallel()
	for range 200 {
		id := clusterID()
		raw, err := base64.RawURLEncoding.DecodeString(id)
		if err != nil || len(raw) != 16 || id[0] == '-' {
			t.Fatalf("id %q: %d bytes, %v", id, len(raw), err)
		}
	}
}

// keepLibraries puts empty libraries into a cache.
func keepLibraries(t *testing.T, cache string) {
	t.Helper()
	t.Setenv("PATH", mavenIn(t, copyDependencies)+string(os.PathListSeparator)+os.Getenv("PATH"))
	fetched(t, cache)
}
