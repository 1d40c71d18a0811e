package boot_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What a program leaves out that is built for Lambda, it says.
func TestABuildForLambda(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("it builds a program")
	}
	program := filepath.Join(t.TempDir(), "bootstrap")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "lambda.norpc", "-ldflags", "-s -w", "-o", program,
		"github.com/millrace/millrace/functions/order-created/bootstrap")
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	info, err := os.Stat(program)
	if err != nil {
		t.Fatal(err)
	}
	if most := int64(15_000_000); info.Size() > most {
		t.Errorf("the program has %d bytes, more than %d: something links what few programs need", info.Size(), most)
	}
	for _, tc := range []struct {
		name        string
		environment []string
		want        string
	}{
		{"no Lambda", nil, "AWS_LAMBDA_RUNTIME_API is not set: build it without the tag lambda.norpc"},
		{"no store", []string{"AWS_LAMBDA_RUNTIME_API=127.0.0.1:1", "AWS_SAM_LOCAL=true", "IDEMPOTENCY_STORE=redis"},
			"IDEMPOTENCY_STORE must be none: this program was built without stores"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), program)
			command.Env = append([]string{"PATH="}, tc.environment...)
			text, err := command.CombinedOutput()
			if err == nil || !strings.Contains(string(text), tc.want) {
				t.Errorf("%v:\n%s\nwant %q", err, text, tc.want)
			}
		})
	}
}
