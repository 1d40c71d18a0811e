package main

import (
	"encoding/base64"
	"errors"
	"io/fs"
	"os"
	"strings"
	"testing"
)

func TestConfigure(t *testing.T) {
	t.Parallel()
	b, err := configure()
	if err != nil {
		t.Fatal(err)
	}
	settings, err := os.ReadFile(b.file("server.properties"))
	if err != nil {
		t.Error(err)
	}
	for _, want := range []string{
		"listeners=PLAINTEXT://" + b.address + ",CONTROLLER://127.0.0.1:",
		"advertised.listeners=PLAINTEXT://" + b.address + "\n",
		"log.dirs=" + b.file("data") + "\n",
	} {
		if !strings.Contains(string(settings), want) {
			t.Errorf("want %q in the settings:\n%s", want, settings)
		}
	}
	b.stop()
	if _, err := os.Stat(b.dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the broker's folder after stop: %v", err)
	}
}

func TestBrokerThatEndsAtOnce(t *testing.T) {
	t.Parallel()
	java := javaHome(t, "echo 'Address already in use'") + "/bin/java"
	_, err := start(t.Context(), java, t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "has ended; the end of its log:\nAddress already in use") {
		t.Errorf("got %v", err)
	}
}

func TestFreePorts(t *testing.T) {
	t.Parallel()
	addresses, err := freePorts(2)
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
