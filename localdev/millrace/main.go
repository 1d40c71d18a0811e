// Command millrace runs the whole system on a laptop, runs functions of a SAM template behind emulated triggers, and speaks
// to any Kafka cluster about events: publish, tail, topics, load.
//
// It may import every package of the project but those that are for tests.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
