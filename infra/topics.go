// Package infra holds what deployments are made from, beginning with the list of topics. It imports nothing of millrace.
package infra

import (
	_ "embed"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// The ways in which a topic forgets records (Kafka's cleanup.policy).
const (
	// CleanupDelete drops records that are older than the retention.
	CleanupDelete = "delete"
	// CleanupCompact keeps the last record of each key.
	CleanupCompact = "compact"
)

// The bounds of a topic.
const (
	maxTopics       = 1000
	maxPartitions   = 1000
	maxRetention    = 3650 * 24 * time.Hour
	maxMessageBytes = 64 << 20
	maxFileBytes    = 1 << 20
)

// Topic is one topic of topics.yaml.
type Topic struct {
	Name        string
	Description string
	// Partitions is 1 to 1000.
	Partitions int32
	// Cleanup is CleanupDelete or CleanupCompact.
	Cleanup string
	// Retention is how long records stay, 1 hour to 10 years; 0 for a compacted topic.
	Retention time.Duration
	// MaxMessageBytes bounds a batch of records; 0 is the broker's default.
	MaxMessageBytes int
}

// Configs returns the topic's settings under Kafka's names.
func (t Topic) Configs() map[string]string {
	configs := map[string]string{"cleanup.policy": t.Cleanup}
	if t.Retention > 0 {
		configs["retention.ms"] = strconv.FormatInt(t.Retention.Milliseconds(), 10)
	}
	if t.MaxMessageBytes > 0 {
		configs["max.message.bytes"] = strconv.Itoa(t.MaxMessageBytes)
	}
	return configs
}

//go:embed topics.yaml
var topicsYAML []byte

// Topics returns the topics of topics.yaml in the order of the file. The file is part of the program and tested: Topics
// panics where it is not valid.
func Topics() []Topic {
	topics, err := ParseTopics(topicsYAML)
	if err != nil {
		panic(fmt.Sprintf("infra/topics.yaml: %v", err))
	}
	return topics
}

type topicsFile struct {
	Topics []topicEntry `yaml:"topics"`
}

type topicEntry struct {
	Name            string `yaml:"name"`
	Description     string `yaml:"description"`
	Partitions      int32  `yaml:"partitions"`
	Cleanup         string `yaml:"cleanup"`
	Retention       string `yaml:"retention"`
	MaxMessageBytes int64  `yaml:"maxMessageBytes"`
}

// ParseTopics reads a list of topics, strictly: an unknown field, a missing one, or a value out of bounds is an error,
// and all of them are reported at once. The input may have 1 MiB.
func ParseTopics(data []byte) ([]Topic, error) {
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("the list of topics has %d bytes, at most %d are read", len(data), maxFileBytes)
	}
	var file topicsFile
	if err := yaml.Load(data, &file, yaml.WithKnownFields()); err != nil {
		return nil, fmt.Errorf("the list of topics is not valid YAML: %w", err)
	}
	if n := len(file.Topics); n == 0 || n > maxTopics {
		return nil, fmt.Errorf("topics has %d entries, must have 1 to %d", n, maxTopics)
	}
	return checkTopics(file.Topics)
}

func checkTopics(entries []topicEntry) ([]Topic, error) {
	var problems []error
	topics := make([]Topic, 0, len(entries))
	seen := map[string]bool{}
	for i, e := range entries {
		t, errs := e.check()
		if canonical := strings.ReplaceAll(e.Name, ".", "_"); seen[canonical] {
			errs = append(errs, errors.New("name stands twice (Kafka takes . and _ for the same)"))
		} else {
			seen[canonical] = true
		}
		for _, err := range errs {
			problems = append(problems, fmt.Errorf("topics[%d] %q: %w", i, e.Name, err))
		}
		topics = append(topics, t)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	return topics, nil
}

// topicName is what Kafka accepts as the name of a topic, apart from "." and "..".
var topicName = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

func (e topicEntry) check() (Topic, []error) {
	var problems []error
	problem := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if !topicName.MatchString(e.Name) || e.Name == "." || e.Name == ".." {
		problem("name must be 1 to 249 letters, digits, dots, underscores or hyphens")
	}
	if e.Partitions < 1 || e.Partitions > maxPartitions {
		problem("partitions is %d, must be 1 to %d", e.Partitions, maxPartitions)
	}
	if e.MaxMessageBytes < 0 || e.MaxMessageBytes > maxMessageBytes {
		problem("maxMessageBytes is %d, must be 0 to %d", e.MaxMessageBytes, maxMessageBytes)
	}
	retention, err := e.retention()
	if err != nil {
		problems = append(problems, err)
	}
	return Topic{
		Name: e.Name, Description: e.Description, Partitions: e.Partitions,
		Cleanup: e.Cleanup, Retention: retention, MaxMessageBytes: int(e.MaxMessageBytes),
	}, problems
}

func (e topicEntry) retention() (time.Duration, error) {
	switch e.Cleanup {
	case CleanupDelete:
		return parseRetention(e.Retention)
	case CleanupCompact:
		if e.Retention != "" {
			return 0, errors.New("retention has no meaning for a compacted topic: remove it")
		}
		return 0, nil
	}
	return 0, fmt.Errorf("cleanup is %q, must be %s or %s", e.Cleanup, CleanupDelete, CleanupCompact)
}

// parseRetention reads "7d" or "36h".
func parseRetention(text string) (time.Duration, error) {
	unit := time.Hour
	digits, found := strings.CutSuffix(text, "h")
	if !found {
		unit = 24 * time.Hour
		digits, found = strings.CutSuffix(text, "d")
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	if !found || err != nil || n == 0 || n > uint64(maxRetention/unit) {
		return 0, fmt.Errorf("retention is %q, must be a number of days or hours like 7d or 36h, at most 3650d", text)
	}
	return time.Duration(n) * unit, nil
}
