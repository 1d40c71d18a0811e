//go:build unix

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

// memberArgument makes this program a member.
const memberArgument = "member"

// The exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
	exitVoid   = 3
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == memberArgument {
		go endWithParent(os.Stdin)
		os.Exit(runMember(os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// endWithParent ends the process when its standard input does.
func endWithParent(stdin io.Reader) {
	_, _ = io.Copy(io.Discard, stdin)
	os.Exit(exitFailed)
}

// options are what the command line asks for.
type options struct {
	events      int
	duration    time.Duration
	load        time.Duration
	seed        uint64
	exactlyOnce bool
	eager       bool
	static      bool
	kafka       string
	member      string
	keep        bool
	only        []string
}

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("soak", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.IntVar(&o.events, "events", 200_000, "events to write")
	flags.DurationVar(&o.duration, "duration", 10*time.Minute, "the longest that the run may take")
	flags.DurationVar(&o.load, "load", 0, "how long events are written and faults happen; 0 is 60 % of -duration")
	flags.Uint64Var(&o.seed, "seed", 0, "seed of events and faults; 0 takes one from the clock")
	flags.BoolVar(&o.exactlyOnce, "exactly-once", false, "run the members with EXACTLY_ONCE=true")
	flags.BoolVar(&o.eager, "eager", false, "rebalance eagerly in place of cooperatively")
	flags.BoolVar(&o.static, "static", false, "give each member a name that stays (KAFKA_INSTANCE_ID)")
	flags.StringVar(&o.kafka, "kafka", "apache", "apache (needs Java and Maven) or embedded (is not restarted)")
	flags.StringVar(&o.member, "member", "", "program of the members, where it is not this one")
	flags.Func("only", "do faults of this kind only; may be repeated", func(kind string) error {
		o.only = append(o.only, kind)
		return nil
	})
	flags.BoolVar(&o.keep, "keep", false, "keep the folder with what the members wrote, whatever comes of the run")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	err := o.complete(flags.Args())
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
	}
	return o, err
}

func (o *options) complete(rest []string) (err error) {
	switch {
	case len(rest) > 0:
		return fmt.Errorf("unknown arguments %q", rest)
	case o.events < 1:
		return errors.New("-events must be at least 1")
	case o.duration < 20*time.Second || o.load >= o.duration || o.load < 0:
		return errors.New("-duration must be at least 20s, and -load shorter")
	case o.kafka != "apache" && o.kafka != "embedded":
		return fmt.Errorf("-kafka must be apache or embedded, is %q", o.kafka)
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(o.kinds(), func(k kind) bool { return k.name == name }) {
			return fmt.Errorf("-only: there is no fault %q in this run", name)
		}
	}
	if o.load == 0 {
		o.load = o.duration * 6 / 10
	}
	if o.seed == 0 {
		o.seed = uint64(time.Now().UnixNano())
	}
	if o.member == "" {
		o.member, err = os.Executable()
	}
	return err
}

func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	o, err := parse(args, stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	}
	dir, err := os.MkdirTemp("", "millrace-soak-")
	if err != nil {
		fmt.Fprintln(stderr, "soak:", err)
		return exitFailed
	}
	p := progress{out: stdout, began: time.Now()}
	report, err := soak(ctx, o, dir, p)
	code := judge(report, err, p)
	if code == exitOK && !o.keep {
		_ = os.RemoveAll(dir) // it lies in the system's folder for temporary files
	} else {
		p.sayf("what the members wrote is in %s", dir)
	}
	if report != nil {
		fmt.Fprintln(stdout, report)
	}
	return code
}

// maxShown is how many violations of a law are told in detail.
const maxShown = 3

// judge tells what came of the run, and returns the exit code.
func judge(report *history.Report, err error, p progress) int {
	code := exitOK
	if report != nil {
		code = tell(report, p)
	}
	if err != nil {
		p.sayf("the run failed: %v", err)
		code = exitFailed
	}
	return code
}

func tell(report *history.Report, p progress) int {
	told := map[history.Law]int{}
	for _, v := range report.Violations {
		if told[v.Law]++; told[v.Law] > maxShown {
			continue
		}
		p.sayf("%s: %s", v.Law, v.What)
		for _, f := range v.Nearby {
			p.sayf("        nearby: %s", &f)
		}
	}
	for law, n := range told {
		if n > maxShown {
			p.sayf("%s: and %d more", law, n-maxShown)
		}
	}
	p.sayf("%d takeovers, %d failing events tried again, %d others handled again", report.Takeovers, report.Retried, report.Repeated)
	if len(report.Violations) > 0 {
		return exitFailed
	}
	code := exitOK
	for _, reason := range report.Void() {
		p.sayf("void: %s", reason)
		code = exitVoid
	}
	return code
}

// progress tells whoever waits what is going on.
type progress struct {
	out   io.Writer
	began time.Time
}

func (p progress) sayf(format string, args ...any) {
	fmt.Fprintf(p.out, "%4.0fs  "+format+"\n", append([]any{time.Since(p.began).Seconds()}, args...)...)
}
