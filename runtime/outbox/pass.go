package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/runtime/function"
)

// passTime is how long a pass goes on with further events of the same lanes. Others may have come meanwhile that wait for none,
// and what it published is published again when the relay is killed.
const passTime = 50 * time.Millisecond

// pass is the publishing of a page of each shard.
type pass struct {
	began time.Time
	// lanes have events left, in the order of their first ones. byNumber finds them.
	lanes    []*lane
	byNumber map[int64]*lane

	acknowledged []*waiting
	failed       []*waiting
}

// lane are events of one topic and key, in their order.
type lane struct{ events []*waiting }

func newPass() *pass { return &pass{began: time.Now(), byNumber: map[int64]*lane{}} }

func (p *pass) add(page []*waiting) {
	for _, w := range page {
		l := p.byNumber[w.lane]
		if l == nil {
			l = &lane{}
			p.byNumber[w.lane] = l
			p.lanes = append(p.lanes, l)
		}
		l.events = append(l.events, w)
	}
}

// publish publishes the first event of each lane, then the next one of each lane whose first was acknowledged, and so on. It
// returns an error when the broker cannot be reached.
func (p *pass) publish(l *lease, publish function.Publish) error {
	for len(p.lanes) > 0 {
		lanes := p.lanes
		p.lanes = nil
		for topic, of := range byTopic(lanes) {
			if !l.holds() {
				return nil
			}
			if err := p.send(l.ctx, publish, topic, of); err != nil {
				return err
			}
		}
		if time.Since(p.began) > passTime {
			return nil
		}
	}
	return nil
}

// byTopic divides lanes by the topic of their events.
func byTopic(lanes []*lane) map[string][]*lane {
	topics := map[string][]*lane{}
	for _, l := range lanes {
		topic := l.events[0].topic
		topics[topic] = append(topics[topic], l)
	}
	return topics
}

// send publishes the first event of each of lanes, which have one topic, and keeps those lanes that may go on.
func (p *pass) send(ctx context.Context, publish function.Publish, topic string, lanes []*lane) error {
	var sent []*lane
	var events []event.Event
	for _, l := range lanes {
		first := l.events[0]
		if first.err != nil {
			p.failed = append(p.failed, first)
			continue
		}
		sent = append(sent, l)
		events = append(events, first.event)
	}
	errs := publish(ctx, topic, events...)
	if errs != nil && len(errs) != len(events) {
		return fmt.Errorf("outbox: %d events for topic %s were published with %d outcomes", len(events), topic, len(errs))
	}
	var broken error
	for i, l := range sent {
		var err error
		if errs != nil {
			err = errs[i]
		}
		if isBroken(err) {
			broken = err
			continue
		}
		p.take(l, err)
	}
	return broken
}

// take notes the outcome of the first event of a lane.
func (p *pass) take(l *lane, err error) {
	first := l.events[0]
	if err != nil {
		first.err = err
		p.failed = append(p.failed, first)
		return
	}
	p.acknowledged = append(p.acknowledged, first)
	if l.events = l.events[1:]; len(l.events) > 0 {
		p.lanes = append(p.lanes, l)
	}
}

// isBroken tells whether err is no failure of the event.
func isBroken(err error) bool {
	return function.VerdictOf(err) == function.Broken || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// stretch is a part of a shard's positions. What is beyond a crowd is one of its own, which may be far away.
type stretch struct {
	shard  int64
	beyond bool
}

// removals returns the positions of what was acknowledged, by stretch.
func (p *pass) removals() map[stretch][]int64 {
	positions := map[stretch][]int64{}
	for _, w := range p.acknowledged {
		of := stretch{shard: w.shard, beyond: w.beyond}
		positions[of] = append(positions[of], w.position)
	}
	return positions
}
