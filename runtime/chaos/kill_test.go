package chaos_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/millrace/millrace/runtime/chaos"
	"github.com/millrace/millrace/runtime/pipeline"
)

// crashVariable tells the test binary that it is a child that has to crash, and where.
const crashVariable = "MILLRACE_CHAOS_CRASH"

// crashWhereAsked does not return in a child.
func crashWhereAsked() {
	where, ok := os.LookupEnv(crashVariable)
	if !ok {
		return
	}
	handle := func(context.Context, *pipeline.Delivery) error { fmt.Println("handled"); return nil }
	switch what, at, _ := strings.Cut(where, " "); what {
	case "attempt":
		_ = chaos.Crash(chaos.Always(), chaos.Point(at))(handle)(context.Background(), &pipeline.Delivery{})
	case "send":
		_ = chaos.CrashSend(saying{}, chaos.Always(), chaos.Point(at)).Send(context.Background())
	}
	os.Exit(0)
}

// saying is a Sink that prints that it published.
type saying struct{}

func (saying) Send(context.Context, ...pipeline.Output) error {
	fmt.Println("published")
	return nil
}

func TestCrashEndsTheProcessAtItsPoint(t *testing.T) {
	t.Parallel()
	for where, want := range map[string]string{
		"attempt before": "",
		"attempt after":  "handled\n",
		"send before":    "",
		"send after":     "published\n",
	} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			command := exec.CommandContext(t.Context(), os.Args[0])
			command.Env = append(os.Environ(), crashVariable+"="+where)
			output, err := command.Output()
			if err == nil || command.ProcessState.ExitCode() == 0 {
				t.Errorf("the child ended well, with %q", output)
			}
			if string(output) != want {
				t.Errorf("the child did %q, want %q", output, want)
			}
		})
	}
}
