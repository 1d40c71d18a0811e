package trigger_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	awslambda "github.com/aws/aws-lambda-go/lambda"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/runtime/runtimetest"
)

// beBootstrap is a Lambda function that writes the values of its records to a journal, and does not like some of them at
// first.
func beBootstrap(journal string) {
	awslambda.Start(func(_ context.Context, payload jsontext.Value) (jsontext.Value, error) {
		var e event
		if err := json.Unmarshal(payload, &e); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(journal, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		var lines strings.Builder
		answer := failing(e, func(r record) bool {
			if time.Now().UnixNano()%10 == 0 {
				return true
			}
			fmt.Fprintln(&lines, r.value())
			return false
		})
		_, err = f.WriteString(lines.String())
		return jsontext.Value(answer), err
	})
}

// Real processes behind the Runtime API are killed at random, and no record is lost.
func TestProcessesAreKilled(t *testing.T) {
	t.Parallel()
	b := newBench(t, 4)
	b.spec.BatchSize = 10
	journal := filepath.Join(t.TempDir(), "journal")
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	pool, err := process.Start(process.Function{
		Name: "orders", Bootstrap: executable, Environment: map[string]string{bootstrapKey: journal}, Timeout: 10 * time.Second, Concurrency: 4,
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := b.startInvoker(b.opts, pool)
	killed := 0
	for i := range 20 {
		for p := range int32(4) {
			b.produce(p, numbers(1000*int(p)+20*i, 1000*int(p)+20*(i+1))...)
		}
		killed += pool.Kill(1)
	}
	b.committed(map[int32]int64{0: 400, 1: 400, 2: 400, 3: 400})
	stop()
	if err := pool.Close(); err != nil {
		t.Error(err)
	}
	written, err := os.ReadFile(journal)
	if err != nil {
		t.Fatal(err)
	}
	done := map[string]bool{}
	for v := range strings.FieldsSeq(string(written)) {
		done[v] = true
	}
	for p := range 4 {
		for _, v := range numbers(1000*p, 1000*p+400) {
			if !done[v] {
				t.Errorf("%s was lost", v)
			}
		}
	}
	if killed == 0 {
		t.Error("no process was killed")
	}
	runtimetest.Eventually(t, "some failures", func() bool { return b.kinds()["retrying"] > 0 })
}
