// Package consumergroup is the door to Kafka: a member of a consumer group that hands records to a pipeline, in the order
// of their keys, and commits what is finished.
//
// Its claims read as fast as records come and queue them in lanes; what is queued is bounded by pausing the partition,
// never by letting the client wait. Offsets are committed behind the frontier, from a goroutine of their own.
//
// It imports runtime/pipeline, lanes, frontier and kafkaclient, and sarama.
package consumergroup

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/lanes"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Monitor is told how a member fares. Its methods are called from several goroutines and must not block.
type Monitor interface {
	// Joined and Left tell when the member takes part in its group, and when it no longer does.
	Joined(group string)
	Left(group string)
	// Lag tells how many records of a partition lie between the frontier and its end.
	Lag(group, topic string, partition int32, records int64)
	// Stuck tells what keeps a partition from being read, or nil when nothing does any more.
	Stuck(group, topic string, partition int32, err error)
	// Committing tells what keeps the member from committing, or nil when it does again.
	Committing(group string, err error)
	// Released tells that the partition is no longer this member's.
	Released(group, topic string, partition int32)
}

// Options of Run. The zero value is the default.
type Options struct {
	// Log takes what the operator should know. Default: slog.Default().
	Log *slog.Logger
	// Stage is what the pipeline publishes to where a record's events and its offset are committed in one transaction.
	// Default: nil, the pipeline's sink returns when they are acknowledged.
	Stage *Stage
	// Monitor is told how the member fares. Default: nobody.
	Monitor Monitor
}

// restart is how long Run waits before it joins again after an error.
var restart = pipeline.Backoff{First: 200 * time.Millisecond, Max: 10 * time.Second}

// member is one member of a consumer group.
type member struct {
	client   kafkaclient.Config
	config   Config
	group    sarama.ConsumerGroup
	pipeline *pipeline.Pipeline
	pool     *lanes.Pool
	log      *slog.Logger
	monitor  Monitor

	connections *kafkaclient.Connections
	coordinator *coordinator
	commits     *commits
	// stage is nil where events are published before their record is finished.
	stage *Stage
	// yield is nil where no worker waits for acknowledgements.
	yield func() (resume func())
}

// Run takes part in the consumer group of p until ctx ends. Then it stops the intake, gives running handlers
// Config.DrainTimeout, commits what is finished, leaves the group and returns nil.
//
// It returns an error only when it cannot start: no broker answers, or a topic does not exist. Whatever happens later
// (brokers restart, the coordinator moves, the session times out) is logged and recovered from.
func Run(ctx context.Context, client kafkaclient.Config, config Config, p *pipeline.Pipeline, o *Options) error {
	if o == nil {
		o = &Options{}
	}
	m := &member{client: client, config: config, pipeline: p, pool: lanes.NewPool(config.Workers), log: o.Log, monitor: o.Monitor, stage: o.Stage}
	if m.stage == nil {
		m.yield = m.pool.Yield
	}
	if m.log == nil {
		m.log = slog.Default()
	}
	m.log = m.log.With("consumer_group", p.Group())
	if m.monitor == nil {
		m.monitor = nobody{}
	}
	disconnect, err := m.open(client)
	if err != nil {
		return err
	}
	logged := m.logErrors()
	m.work(ctx)
	err = disconnect()
	<-logged
	if err != nil {
		m.log.Warn("leaving the group did not go smoothly", "error", err)
	}
	return nil
}

// open connects the member, and returns what disconnects it.
func (m *member) open(client kafkaclient.Config) (func() error, error) {
	settings, err := m.config.sarama(&client, m.pipeline.Group())
	if err != nil {
		return nil, err
	}
	other := *settings
	m.connections = kafkaclient.NewConnections()
	m.connections.Observe(settings)
	reading, err := connect(client, settings, m.pipeline)
	if err != nil {
		return nil, err
	}
	other.Net.ReadTimeout = answerTimeout
	asking, err := client.Connect(&other)
	if err != nil {
		return nil, errors.Join(err, reading.Close())
	}
	m.group, err = sarama.NewConsumerGroupFromClient(m.pipeline.Group(), reading)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("consumer group %s: %w", m.pipeline.Group(), err), reading.Close(), asking.Close())
	}
	m.coordinator = &coordinator{client: asking, group: m.pipeline.Group(), instance: m.config.instance()}
	m.commits = m.newCommits()
	return func() error { return errors.Join(m.group.Close(), reading.Close(), asking.Close()) }, nil
}

// newCommits returns what commits for the member: offsets, or transactions.
func (m *member) newCommits() *commits {
	if m.stage == nil {
		return newCommits(offsets{m.coordinator}, m.config.CommitInterval, urgentGap, 0, m.committing)
	}
	ledger := &transactions{transactor: m.stage.transactor, pipeline: m.pipeline, instance: m.config.instance(), log: m.log, serial: rand.Uint64()}
	return newCommits(ledger, m.config.CommitInterval, m.config.Linger, m.config.TransactionRecords, m.committing)
}

// committing logs the first of some commits that fail and the next that does not, and tells the monitor. During a
// rebalance the group refuses commits for a moment: of that it tells only when it lasts.
func (m *member) committing(failures int, err error) {
	switch {
	case err == nil:
		m.log.Info("commits are written again", "failures", failures)
		m.monitor.Committing(m.pipeline.Group(), nil)
	case failures == lastingFailures, failures == 1 && !moved(err):
		m.log.Warn("the commit failed and is tried again: what is finished would be handled again if this process ended now", "error", err)
		m.monitor.Committing(m.pipeline.Group(), err)
	}
}

// lastingFailures is how many commits in a row are refused where it is not for a rebalance.
const lastingFailures = 10

// work takes part in the group until ctx ends, and commits until the last claim has gone.
func (m *member) work(ctx context.Context) {
	committing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var done sync.WaitGroup
	done.Go(func() { m.commits.run(committing) })
	left := make(chan struct{})
	done.Go(func() { m.hurry(ctx, left) })
	m.consume(ctx)
	close(left)
	stop()
	done.Wait()
}

// hurry cuts the member's connections when it has let go of every partition after the end of ctx and has not left yet: a
// join waits for the other members, and pays no heed to ctx.
func (m *member) hurry(ctx context.Context, left <-chan struct{}) {
	select {
	case <-ctx.Done():
	case <-left:
		return
	}
	tick := time.NewTicker(leaveTimeout / 10)
	defer tick.Stop()
	for idle := time.Now(); ; {
		select {
		case now := <-tick.C:
			if m.commits.claimed() {
				idle = now
			} else if now.Sub(idle) > leaveTimeout {
				m.log.Warn("leaving the group while others join", "waited", leaveTimeout)
				m.connections.Cut()
				idle = now
			}
		case <-left:
			return
		}
	}
}

// leaveTimeout is how long a member that owns no partition may take to leave.
const leaveTimeout = 2 * time.Second

// connect returns a client that has seen every topic of p.
func connect(client kafkaclient.Config, settings *sarama.Config, p *pipeline.Pipeline) (sarama.Client, error) {
	connection, err := client.Connect(settings)
	if err != nil {
		return nil, err
	}
	if err := kafkaclient.RequireTopics(connection, client.Brokers, p.Topics()...); err != nil {
		return nil, errors.Join(fmt.Errorf("consumer group %s: %w", p.Group(), err), connection.Close())
	}
	return connection, nil
}

// consume joins the group again whenever a session ends, until ctx does.
func (m *member) consume(ctx context.Context) {
	for failures := 0; ctx.Err() == nil; {
		err := m.group.Consume(ctx, m.pipeline.Topics(), &session{member: m})
		if err == nil {
			failures = 0
			continue
		}
		if ctx.Err() != nil {
			return
		}
		failures++
		wait := restart.Delay(failures)
		m.log.Warn("the session ended, joining again", "error", err, "after", wait)
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
	}
}

// logErrors drains the member's errors: a failed commit is seen nowhere else. The channel it returns is closed when the
// member is.
func (m *member) logErrors() <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		for err := range m.group.Errors() {
			if kafkaclient.IsBatchError(err) {
				m.commits.each((*claim).doubt)
				continue
			}
			m.log.Warn("consumer error", "error", err)
		}
	}()
	return done
}

type nobody struct{}

func (nobody) Joined(string)                      {}
func (nobody) Left(string)                        {}
func (nobody) Lag(string, string, int32, int64)   {}
func (nobody) Stuck(string, string, int32, error) {}
func (nobody) Committing(string, error)           {}
func (nobody) Released(string, string, int32)     {}
