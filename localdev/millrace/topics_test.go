package main

import (
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"
)

func TestTopics(t *testing.T) {
	t.Parallel()
	addr := kafka(t)
	succeed(t, orderEnvelope("1")+orderEnvelope("2"), "publish", "--kafka", addr)
	want := []string{
		"TOPIC PARTITIONS RECORDS RETENTION CLEANUP",
		"audit-events 2 0 90d delete",
		"dead-letter-journal 1 0 - compact",
		"dead-letter-queue 1 0 30d delete",
		"notification-events 3 0 7d delete",
		"order-events 3 2 7d delete",
		"product-events 3 0 7d delete",
		"user-events 3 0 7d delete",
	}
	lines := strings.Split(succeed(t, "", "topics", "--kafka", addr), "\n")
	for i, line := range want {
		if got := strings.Join(strings.Fields(lines[i]), " "); got != line {
			t.Errorf("line %d is %q, want %q", i+1, got, line)
		}
	}
	objects := succeed(t, "", "topics", "--json", "--kafka", addr)
	for _, want := range []string{
		`{"topic":"order-events","partitions":3,"records":2,"retentionMs":604800000,"cleanup":"delete"}` + "\n",
		`{"topic":"dead-letter-journal","partitions":1,"records":0,"retentionMs":null,"cleanup":"compact"}` + "\n",
	} {
		if !strings.Contains(objects, want) {
			t.Errorf("%s does not have %s", objects, want)
		}
	}
}

func TestTopicsOfAnEmptyCluster(t *testing.T) {
	t.Parallel()
	empty, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer empty.Close()
	addr := empty.ListenAddrs()[0]
	if code, _, stderr := say(t, "topics", "--kafka", addr); code != exitNothing || !strings.Contains(stderr, "has no topics") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if code, _, stderr := say(t, "tail", "a", "--kafka", addr); code != exitFailed || !strings.Contains(stderr, "this cluster has none") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
}
