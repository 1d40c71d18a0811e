package consumergroup

import (
	"sync/atomic"
	"time"

	"github.com/IBM/sarama"
)

// membership knows when the coordinator last counted on this member. A process that was stopped for longer than its
// session's time-out has lost its partitions when it goes on, and nobody has told it yet: no handler may start then.
//
// sarama's own heartbeats do not tell how they fared, so these come on top.
type membership struct {
	coordinator *coordinator
	interval    time.Duration
	timeout     time.Duration

	// proven and wall are when the last heartbeat that was answered was sent: the monotonic clock stands still while the
	// machine sleeps, the other one may be set.
	proven, wall atomic.Int64
	stop, done   chan struct{}
}

// epoch is where the monotonic times of a process are counted from.
var epoch = time.Now()

func (m *membership) prove(at time.Time) {
	m.proven.Store(int64(at.Sub(epoch)))
	m.wall.Store(at.UnixNano())
}

// holds tells whether the member was one within its session's time-out.
func (m *membership) holds(now time.Time) bool {
	return now.Sub(epoch)-time.Duration(m.proven.Load()) < m.timeout && time.Duration(now.UnixNano()-m.wall.Load()) < m.timeout
}

// join starts the heartbeats of a session that has just begun.
func (m *membership) join(joined sarama.ConsumerGroupSession) {
	m.prove(time.Now())
	m.stop, m.done = make(chan struct{}), make(chan struct{})
	go m.beat(joined)
}

// leave ends the heartbeats.
func (m *membership) leave() {
	close(m.stop)
	<-m.done
}

func (m *membership) beat(joined sarama.ConsumerGroupSession) {
	defer close(m.done)
	tick := time.NewTicker(m.interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-m.stop:
			return
		}
		sent := time.Now()
		if err := m.coordinator.heartbeat(identityOf(joined)); err == nil {
			m.prove(sent)
		}
	}
}

func identityOf(s sarama.ConsumerGroupSession) identity {
	return identity{s.GenerationID(), s.MemberID()}
}
