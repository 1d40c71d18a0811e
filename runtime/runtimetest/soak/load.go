//go:build unix

package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/go-json-experiment/json"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/cloudevents/kafkabinding"
)

const (
	// keyCount is how many keys the events have.
	keyCount = 1000
	// burst is how many events of a key follow each other: an even round robin hides that order is broken.
	burst = 5
	// One event of slowOneIn takes slowMilliseconds, one of failOneIn always fails, the rest takes up to quickMilliseconds.
	slowOneIn         = 200
	slowMilliseconds  = 1500
	failOneIn         = 500
	quickMilliseconds = 3
	// loadInterval is how often events are written.
	loadInterval = 50 * time.Millisecond
)

// load writes the events of a run, evenly spread over its time.
type load struct {
	client   *kgo.Client
	random   *rand.Rand
	total    int
	key      int
	written  int
	acked    atomic.Int64
	problems atomic.Pointer[error]
}

// run writes all events within d, and returns when they are acknowledged.
func (l *load) run(ctx context.Context, d time.Duration) error {
	tick := time.NewTicker(loadInterval)
	defer tick.Stop()
	for began := time.Now(); l.written < l.total; {
		due := min(l.total, int(float64(l.total)*float64(time.Since(began))/float64(d)))
		for l.written < due {
			if err := l.write(ctx); err != nil {
				return err
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := l.client.Flush(ctx); err != nil {
		return fmt.Errorf("write the last events: %w", err)
	}
	if problem := l.problems.Load(); problem != nil {
		return fmt.Errorf("write events: %w", *problem)
	}
	return nil
}

func (l *load) write(ctx context.Context) error {
	record, err := l.next()
	if err != nil {
		return err
	}
	l.client.Produce(ctx, record, func(_ *kgo.Record, err error) {
		if err != nil {
			l.problems.Store(&err)
			return
		}
		l.acked.Add(1)
	})
	return nil
}

// next makes the next event.
func (l *load) next() (*kgo.Record, error) {
	if l.written%burst == 0 {
		l.key = l.random.IntN(keyCount)
	}
	w := work{Milliseconds: l.random.IntN(quickMilliseconds + 1)}
	switch {
	case l.random.IntN(failOneIn) == 0:
		w.Fails = true
	case l.random.IntN(slowOneIn) == 0:
		w.Milliseconds = slowMilliseconds
	}
	data, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	e := event.New()
	e.SetID(fmt.Sprintf("event-%07d", l.written))
	e.SetSource("/soak")
	e.SetType(inputType)
	e.SetSubject(fmt.Sprintf("key-%04d", l.key))
	e.SetTime(time.Now())
	e.SetDataContentType(event.ApplicationJSON)
	e.DataEncoded = data
	m, err := kafkabinding.Encode(e, kafkabinding.Binary)
	if err != nil {
		return nil, err
	}
	l.written++
	record := &kgo.Record{Topic: inputTopic, Key: []byte(e.Subject()), Value: m.Value}
	for _, h := range m.Headers {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
	}
	return record, nil
}
