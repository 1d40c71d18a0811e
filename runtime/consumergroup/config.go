package consumergroup

import (
	"fmt"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/pipeline"
)

// Config is how a consumer group runs, from the environment.
type Config struct {
	Workers            int           `env:"WORKERS, default=256" min:"1" max:"100000" doc:"Handlers that run at once in this process, for each consumer group. Up to four times as many more may wait for the acknowledgement of what they emitted."`
	WindowRecords      int           `env:"WINDOW_RECORDS, default=4096" min:"1" max:"1000000" doc:"Unfinished records of a partition beyond which fetching from it pauses; what was fetched before comes on top. It should last for 100 ms: so long the client may take to go on after a pause."`
	WindowBytes        int64         `env:"WINDOW_BYTES, default=16777216" min:"1" max:"4294967296" doc:"Bytes of unfinished records of a partition beyond which fetching from it pauses."`
	DrainTimeout       time.Duration `env:"DRAIN_TIMEOUT, default=20s" min:"0s" max:"10m" doc:"How long running handlers may go on when the process stops or a partition is taken away."`
	CommitInterval     time.Duration `env:"COMMIT_INTERVAL, default=1s" min:"10ms" max:"1m" doc:"How often finished offsets are committed."`
	SessionTimeout     time.Duration `env:"KAFKA_SESSION_TIMEOUT, default=30s" min:"6s" max:"30m" doc:"How long a member may be silent before the group goes on without it."`
	Heartbeat          time.Duration `env:"KAFKA_HEARTBEAT_INTERVAL, default=3s" min:"100ms" max:"5m" doc:"How often a member says that it lives."`
	Rebalance          time.Duration `env:"KAFKA_REBALANCE_TIMEOUT, default=60s" min:"1s" max:"30m" doc:"How long members may take to let partitions go; longer than DRAIN_TIMEOUT."`
	Strategy           string        `env:"KAFKA_REBALANCE, default=cooperative" oneof:"cooperative|eager|migrate" doc:"How partitions change hands: cooperative lets go only of those that move, eager of all; migrate is for the first of two rolling restarts from eager to cooperative."`
	InstanceID         string        `env:"KAFKA_INSTANCE_ID" max:"249" doc:"Name of this member that stays when it restarts within KAFKA_SESSION_TIMEOUT: then nothing rebalances. Different for each process."`
	ExactlyOnce        bool          `env:"EXACTLY_ONCE, default=false" doc:"Commit what a function emits, dead letters and offsets in one Kafka transaction: readers with read_committed see each output once."`
	TransactionID      string        `env:"TRANSACTION_ID" max:"200" doc:"Transactional id of this process, different for each; one that stays lets a restart end at once what a crash left open. Default: the group and KAFKA_INSTANCE_ID, or a random name."`
	Linger             time.Duration `env:"TRANSACTION_LINGER, default=20ms" min:"0s" max:"10s" doc:"Least time between two transactions: longer makes larger batches, and later outputs."`
	TransactionRecords int           `env:"TRANSACTION_RECORDS, default=10000" min:"1" max:"100000" doc:"Records that one transaction finishes at most."`
	TransactionTimeout time.Duration `env:"TRANSACTION_TIMEOUT, default=15s" min:"3s" max:"15m" doc:"After how long the cluster ends the transaction of a process that is gone; until then readers wait for it."`
	Start              string        `env:"KAFKA_START, default=oldest" oneof:"oldest|newest" doc:"Where a group without commits begins to read."`
}

// Validate reports bounds that hold between fields.
func (c *Config) Validate() error {
	switch {
	case c.Rebalance <= c.DrainTimeout:
		return fmt.Errorf("DRAIN_TIMEOUT must be shorter than KAFKA_REBALANCE_TIMEOUT (%s)", c.Rebalance)
	case c.SessionTimeout < 2*c.Heartbeat:
		return fmt.Errorf("KAFKA_HEARTBEAT_INTERVAL must be at most half of KAFKA_SESSION_TIMEOUT (%s)", c.SessionTimeout)
	}
	return nil
}

// sarama returns the client's settings for a member of group.
func (c *Config) sarama(client *kafkaclient.Config, group string) (*sarama.Config, error) {
	s, err := client.Sarama(group)
	if err != nil {
		return nil, err
	}
	s.Consumer.Return.Errors = true
	s.Consumer.Offsets.AutoCommit.Enable = false
	s.Consumer.Fetch.Default = fetchBytes
	s.ChannelBufferSize = bufferedMessages
	s.Consumer.Retry.BackoffFunc = func(retries int) time.Duration { return fetchRetry.Delay(retries + 1) }
	s.Consumer.Offsets.Initial = sarama.OffsetOldest
	if c.Start == "newest" {
		s.Consumer.Offsets.Initial = sarama.OffsetNewest
	}
	s.Consumer.Group.Session.Timeout = c.SessionTimeout
	s.Consumer.Group.Heartbeat.Interval = c.Heartbeat
	s.Consumer.Group.Rebalance.Timeout = c.Rebalance
	s.Consumer.Group.Rebalance.GroupStrategies = c.strategies()
	s.Consumer.Group.InstanceId = c.InstanceID
	// A broker answers a member that joins when all others did. The clients of Apache Kafka wait as long.
	s.Net.ReadTimeout = max(s.Net.ReadTimeout, c.Rebalance+joinGrace)
	// What a transaction wrote and took back is not there.
	s.Consumer.IsolationLevel = sarama.ReadCommitted
	return s, nil
}

// fetchBytes is what a fetch asks of a partition. What is fetched is held until the last record of it is handled: half as much
// takes a fifth less memory before a backlog, and a handler that does nothing handles up to a fifth fewer, for the client
// waits for the broker between two fetches.
const fetchBytes = 1 << 20

// bufferedMessages is how many messages of a partition the client holds beside those that were taken. It fetches again when
// the rest of a response fits: so that is about one response of small records.
const bufferedMessages = 2048

// joinGrace is how much longer than a rebalance may take its answer is waited for.
const joinGrace = 5 * time.Second

// fetchRetry is how long a partition waits after a fetch that failed. Others of the same broker wait as well, so it is short.
var fetchRetry = pipeline.Backoff{First: 250 * time.Millisecond, Max: 2 * time.Second}

// strategies returns how partitions are assigned. A strategy keeps state: each member needs its own.
func (c *Config) strategies() []sarama.BalanceStrategy {
	switch c.Strategy {
	case "eager":
		return []sarama.BalanceStrategy{sarama.NewBalanceStrategyRange()}
	case "migrate":
		return []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky(), sarama.NewBalanceStrategyRange()}
	default:
		return []sarama.BalanceStrategy{sarama.NewBalanceStrategyCooperativeSticky()}
	}
}

// instance returns the member's lasting name, as requests want it.
func (c *Config) instance() *string {
	if c.InstanceID == "" {
		return nil
	}
	return &c.InstanceID
}
