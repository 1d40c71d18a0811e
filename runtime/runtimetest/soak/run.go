//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/runtimetest/soak/history"
)

const (
	// reserve is the part of the time that is kept for reading the topics.
	reserve = 0.1
	// transactionTimeout is after how long the broker ends the transaction of a member that is gone. It is longer than a
	// restart of the broker: Apache Kafka 4.3.1 forgets a transaction whose time is up when its only coordinator starts,
	// before the partitions have the marker, and their readers wait for ever.
	transactionTimeout = 45 * time.Second
	// reportInterval is how often progress is told.
	reportInterval = 10 * time.Second
)

// run is a soak under way.
type run struct {
	options
	progress

	dir      string
	deadline time.Time
	cluster  *cluster
	fleet    *fleet
	loader   *load
	sampler  *sampler
	// seen reads along.
	seen        *reader
	reading     sync.WaitGroup
	stopReading context.CancelFunc
	saboteur    *saboteur
	history     history.History
}

// soak runs everything and judges it. The report is nil where there is nothing to judge.
func soak(ctx context.Context, o options, dir string, p progress) (*history.Report, error) {
	r := &run{options: o, progress: p, dir: dir, deadline: p.began.Add(o.duration)}
	ctx, cancel := context.WithDeadline(ctx, r.deadline)
	defer cancel()
	p.sayf("seed %d, %d events, at most %s, exactly once: %t", o.seed, o.events, o.duration, o.exactlyOnce)
	if err := r.start(ctx); err != nil {
		r.stop()
		return nil, err
	}
	problems := r.work(ctx)
	if ctx.Err() != nil {
		r.stop()
		return nil, context.Cause(ctx)
	}
	r.fleet.stop(syscall.SIGTERM)
	problems = errors.Join(problems, r.collect(ctx))
	r.stop()
	problems = errors.Join(problems, r.read())
	report, err := history.Check(&r.history)
	return report, errors.Join(problems, err)
}

// stop ends everything that still runs.
func (r *run) stop() {
	if r.fleet != nil {
		r.fleet.stop(syscall.SIGKILL)
	}
	if r.stopReading != nil {
		r.stopReading()
		r.reading.Wait()
		r.seen.client.Close()
	}
	if r.loader != nil {
		r.loader.client.Close()
	}
	if r.cluster != nil {
		r.cluster.close()
	}
}

// start brings up the broker, the members and everything that watches them.
func (r *run) start(ctx context.Context) (err error) {
	if r.kafka == "apache" {
		r.cluster, err = r.startApache(ctx)
	} else {
		r.cluster, err = startEmbedded()
	}
	if err != nil {
		return err
	}
	if err := r.cluster.createTopics(ctx); err != nil {
		return err
	}
	client, err := r.cluster.client()
	if err != nil {
		return err
	}
	r.loader = &load{client: client, random: rand.New(rand.NewPCG(r.seed, 0)), total: r.events}
	r.sampler = newSampler(client)
	r.seen, err = newReader(r.cluster, outputTopic, func(record *kgo.Record) { r.history.Seen = append(r.history.Seen, outputOf(record)) })
	if err != nil {
		return err
	}
	reading, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stopReading = stop
	r.reading.Go(func() { r.seen.run(reading) })
	return r.startMembers()
}

func (r *run) startMembers() error {
	r.fleet = &fleet{program: r.member, settings: r.settings(), dir: r.dir}
	for i, proxy := range r.cluster.proxies {
		// With an id that stays, a member that starts again ends what a kill left open.
		own := []string{"KAFKA_BROKERS=" + proxy.Addr(), fmt.Sprintf("TRANSACTION_ID=%d", i+1)}
		if r.static {
			own = append(own, fmt.Sprintf("KAFKA_INSTANCE_ID=soak-%d", i+1))
		}
		if err := r.fleet.add(own...); err != nil {
			return err
		}
	}
	return nil
}

// startApache starts an Apache Kafka whose data stays with what the members wrote.
func (r *run) startApache(ctx context.Context) (*cluster, error) {
	dir := filepath.Join(r.dir, "broker")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	return startApache(ctx, dir, r.progress)
}

// settings are the variables that all members share.
func (r *run) settings() []string {
	strategy := "cooperative"
	if r.eager {
		strategy = "eager"
	}
	return []string{
		"HTTP_ADDR=off",
		"DEAD_LETTER_TOPIC=" + letterTopic,
		"KAFKA_SESSION_TIMEOUT=" + sessionTimeout.String(),
		"KAFKA_HEARTBEAT_INTERVAL=1s",
		"KAFKA_REBALANCE=" + strategy,
		"KAFKA_REBALANCE_TIMEOUT=20s",
		"DRAIN_TIMEOUT=10s",
		"COMMIT_INTERVAL=500ms",
		"RETRY_FIRST_DELAY=20ms",
		"RETRY_MAX_DELAY=200ms",
		fmt.Sprintf("EXACTLY_ONCE=%t", r.exactlyOnce),
		"TRANSACTION_TIMEOUT=" + transactionTimeout.String(),
	}
}

// work writes the events under faults, and waits until all of them are committed.
func (r *run) work(ctx context.Context) error {
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	var watchers sync.WaitGroup
	defer watchers.Wait()
	defer stopWatching()
	watchers.Go(func() { r.sampler.run(watching) })

	sabotage, endSabotage := context.WithTimeout(ctx, r.load)
	defer endSabotage()
	r.saboteur = &saboteur{ctx: sabotage, cluster: r.cluster, fleet: r.fleet}
	watchers.Go(func() { r.tell(watching) })

	var problems [3]error
	var jobs sync.WaitGroup
	jobs.Go(func() { problems[0] = r.saboteur.run(newSchedule(r.seed, 1, r.processKinds())) })
	jobs.Go(func() { problems[1] = r.saboteur.run(newSchedule(r.seed, 2, r.networkKinds())) })
	jobs.Go(func() {
		problems[2] = r.loader.run(ctx, r.load)
		endSabotage()
	})
	jobs.Wait()
	if err := errors.Join(problems[:]...); err != nil {
		return err
	}
	r.sayf("all events are written; waiting for what is left")
	return r.finish(ctx)
}

// finish waits until everything is committed. What is not in time shows as lost.
func (r *run) finish(ctx context.Context) error {
	ends, err := endsOf(ctx, r.cluster, inputTopic)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithDeadline(ctx, r.deadline.Add(-time.Duration(reserve*float64(r.duration))))
	defer cancel()
	for !r.sampler.reached(ends) {
		select {
		case <-time.After(sampleInterval):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d events were committed in time", r.sampler.committed(), r.loader.written)
		}
	}
	r.sayf("all events are committed")
	return nil
}

// tell says how far the run is.
func (r *run) tell(ctx context.Context) {
	tick := time.NewTicker(reportInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		written, committed, faults := r.loader.acked.Load(), r.sampler.committed(), r.saboteur.faults()
		last := "none"
		if len(faults) > 0 {
			last = faults[len(faults)-1].Kind
		}
		r.sayf("%d events written, %d committed, %d behind; %d faults, the last: %s", written, committed, written-committed, len(faults), last)
	}
}
