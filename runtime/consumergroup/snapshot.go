package consumergroup

import (
	"errors"
	"time"

	"github.com/IBM/sarama"

	"github.com/millrace/millrace/runtime/frontier"
)

// lateCommit is how long a commit that was not answered may be on its way.
const lateCommit = time.Minute

// snapshot is what a commit tells of a claim.
type snapshot struct {
	position

	claim *claim
	state frontier.State
	// reserved and failures take effect when the commit is written.
	reserved int64
	failures uint64
	last     bool
}

// snapshot returns what is to be committed, and whether it differs from what was committed last. more says that there
// will be another one.
func (c *claim) snapshot(more bool) (snapshot, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frontier == nil {
		return snapshot{}, false
	}
	s := snapshot{claim: c, failures: c.failures.Load(), last: c.progress.leaving && !more}
	c.frontier.Advance()
	s.state = c.frontier.State()
	c.progress.complete(&s.state, s.last)
	s.reserved = s.state.Reserved
	s.position = position{
		topic: c.partition.Topic(), partition: c.partition.Partition(), next: s.state.Next, metadata: s.state.String(),
	}
	if s.position == c.progress.committed {
		// The last commit tells it all: also of failures that were counted after its snapshot.
		c.recorded.Store(s.failures)
		return s, s.last || time.Now().Before(c.doubted)
	}
	return s, true
}

// written takes note of a snapshot that was committed.
func (c *claim) written(s *snapshot) {
	c.mu.Lock()
	c.progress.committed, c.progress.reserved = s.position, s.reserved
	c.mu.Unlock()
	c.recorded.Store(s.failures)
	signal(c.granted)
	if s.last {
		c.sayGoodbye()
	}
}

// refused takes note of a snapshot that was not committed. A claim that is on its way out does not try again where the
// group went on without this member. An old generation alone is none: the next one may be about to be known.
//
// A commit that nobody answered may reach the coordinator after later ones, as long as the generation lasts, and put the
// group back behind them. So the position is written again and again for as long as that may happen.
func (c *claim) refused(s *snapshot, err error) {
	if _, answered := errors.AsType[sarama.KError](err); !answered {
		c.mu.Lock()
		c.doubted = time.Now().Add(lateCommit)
		c.mu.Unlock()
	}
	if s.last && moved(err) && !errors.Is(err, sarama.ErrIllegalGeneration) {
		c.sayGoodbye()
	}
}

// sayGoodbye is called by the goroutine that commits.
func (c *claim) sayGoodbye() {
	select {
	case <-c.goodbye:
	default:
		close(c.goodbye)
	}
}

// signal leaves a token in a channel that has room for one.
func signal(ch chan struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
