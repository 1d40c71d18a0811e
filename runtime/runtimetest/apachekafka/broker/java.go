package broker

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
)

// minJava is the oldest Java that Kafka 4 brokers run on.
const minJava = 17

// findJava returns the java command of JAVA_HOME or, where that is not set, of PATH.
func findJava(ctx context.Context) (string, error) {
	name := "java"
	if home := os.Getenv("JAVA_HOME"); home != "" {
		name = filepath.Join(home, "bin", "java")
	}
	java, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("an Apache Kafka broker needs Java %d or newer: %w; install a JRE or set JAVA_HOME", minJava, err)
	}
	output, err := exec.CommandContext(ctx, java, "-version").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s -version: %w", java, err)
	}
	switch major, ok := javaVersion(output); {
	case !ok:
		return "", fmt.Errorf("%s -version does not name a version", java)
	case major < minJava:
		return "", fmt.Errorf("%s is Java %d; an Apache Kafka broker needs %d or newer: install one or set JAVA_HOME", java, major, minJava)
	}
	return java, nil
}

// quotedVersion finds the major version in what java -version prints: 17 in "17.0.15", 8 in "1.8.0_412".
var quotedVersion = regexp.MustCompile(`version "(?:1\.)?(\d{1,4})`)

func javaVersion(output []byte) (int, bool) {
	found := quotedVersion.FindSubmatch(output)
	if found == nil {
		return 0, false
	}
	major, err := strconv.Atoi(string(found[1]))
	return major, err == nil
}
