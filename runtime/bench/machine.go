package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/kversion"
)

// machine says where the measurements were made, as far as the system tells.
func machine() string {
	parts := []string{
		cmp.Or(field("/proc/cpuinfo", "model name"), runtime.GOARCH),
		fmt.Sprintf("%d processors", runtime.GOMAXPROCS(0)),
	}
	var kibibytes int64
	if _, err := fmt.Sscan(field("/proc/meminfo", "MemTotal"), &kibibytes); err == nil {
		parts = append(parts, fmt.Sprintf("%.0f GiB of memory", float64(kibibytes)/(1<<20)))
	}
	return strings.Join(append(parts, runtime.GOOS+"/"+runtime.GOARCH, runtime.Version()), ", ")
}

// field returns the value of the first line "name: value" of a file, empty where there is none.
func field(file, name string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	for line := range bytes.Lines(text) {
		if key, value, ok := strings.Cut(string(line), ":"); ok && strings.TrimSpace(key) == name {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// kafkaVersion guesses a cluster's version from the requests that it knows.
func kafkaVersion(ctx context.Context, brokers []string) (string, error) {
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return "", err
	}
	defer client.Close()
	answer, err := kmsg.NewPtrApiVersionsRequest().RequestWith(ctx, client)
	if err != nil {
		return "", fmt.Errorf("ask for the version of Kafka: %w", err)
	}
	return strings.TrimPrefix(kversion.FromApiVersionsResponse(answer).VersionGuess(), "v"), nil
}
