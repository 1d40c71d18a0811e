package consumergroup

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/lanes"
	"github.com/millrace/millrace/runtime/pipeline"
)

const (
	// unrecorded is how long a record waits for the commit that tells of its failed attempt.
	unrecorded = 20 * time.Millisecond
	// uncertain is how long a record waits where it is not known whether the member still owns its partition.
	uncertain = 200 * time.Millisecond
	// failingLimit is how many records of a partition may wait for another attempt before no others start: as many as the
	// commit's metadata can count the attempts of, with those that run at the time.
	failingLimit = 256
	// crowded is about how long a record waits where that many fail.
	crowded = time.Second
)

// handle runs one attempt, in a worker.
func (c *claim) handle(d *delivery) lanes.Result {
	now := time.Now()
	switch {
	case d.failures > c.recorded.Load():
		// The commit that tells of the last attempt comes first: otherwise a crash could make the attempts endless.
		c.session.commits.wake()
		return lanes.Again(unrecorded)
	case !c.session.membership.holds(now):
		return lanes.Again(uncertain)
	case c.failing.Load() >= failingLimit && !d.failed():
		return lanes.Again(crowded/2 + rand.N(crowded))
	}
	o := d.open()
	o.Started, o.Owned, o.Publishing = now, c.session.owned, c.session.yield
	again, finished := c.attempt(d, o)
	c.block(d, !finished && o.Blocked())
	if finished {
		c.finish(d)
		return lanes.Finished()
	}
	if attempts, _ := d.mark.Attempts(); o.Attempts > attempts {
		if attempts == 0 {
			c.failing.Add(1)
		}
		d.mark.Fail(o.Attempts, o.FirstFailure)
		d.failures = c.failures.Add(1)
		c.session.commits.wake()
	}
	d.park()
	return lanes.Again(again)
}

// attempt handles the record; of one whose bytes are lost it makes the dead letter.
func (c *claim) attempt(d *delivery, o *pipeline.Delivery) (again time.Duration, finished bool) {
	ctx := c.staging(d)
	if d.lost == nil {
		return c.session.pipeline.Handle(ctx, o)
	}
	class := function.ClassTooLarge
	if errors.Is(d.lost, kafkaclient.ErrBatchMalformed) {
		class = function.ClassUndecodable
	}
	return c.session.pipeline.Lose(ctx, o, d.lost.Last, &function.PermanentError{Class: class, Err: d.lost})
}

// staging is the context of an attempt. Where there are transactions, it leads the events to d.
func (c *claim) staging(d *delivery) context.Context {
	if c.session.stage == nil {
		return c.ctx
	}
	d.opened.staged = nil
	return context.WithValue(c.ctx, staging{}, d)
}

// finish commits the record: with its events where there are transactions, otherwise with the next offsets.
func (c *claim) finish(d *delivery) {
	if c.session.stage != nil {
		c.session.commits.finish(handled{c, d})
		return
	}
	d.mark.Finish()
	c.settle(d)
}

// committed takes note that d was committed in a transaction.
func (c *claim) committed(d *delivery) {
	c.session.pipeline.Committed(&d.opened.Delivery)
	c.settle(d)
}

// settle gives back the room that the record took.
func (c *claim) settle(d *delivery) {
	d.release()
	c.bytes.Add(-d.size)
	if d.failed() {
		c.failing.Add(-1)
	}
	if left := c.records.Add(-1); c.paused.Load() && left < share(int64(c.session.config.WindowRecords), roomyEighths) {
		signal(c.roomy)
	}
}

// block notes whether d waits for an open circuit. While a record does, the partition is paused.
func (c *claim) block(d *delivery, blocked bool) {
	if blocked == d.blocked {
		return
	}
	d.blocked = blocked
	if !blocked {
		c.blocked.Add(-1)
	} else if c.blocked.Add(1) > 1 {
		return
	}
	signal(c.roomy)
}
