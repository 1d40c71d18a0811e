package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/runtime/runtimetest/rawbatch"
)

const (
	// work is how long the handler of the backlog takes.
	work = 50 * time.Millisecond
	// bombTimeout is how long a function may take to get past a bomb.
	bombTimeout = 30 * time.Second
	// namedWithin is how soon its readiness must name one.
	namedWithin = 10 * time.Second
	// pollInterval is how often a running function is looked at.
	pollInterval = 100 * time.Millisecond
)

// record is an event in binary mode, of about 140 bytes of data.
func record(topic string, partition int32, n int) *kgo.Record {
	return &kgo.Record{
		Topic: topic, Partition: partition,
		Key:   []byte("order-" + strconv.Itoa(n/5%1000)),
		Value: []byte(`{"orderId":"order-` + strconv.Itoa(n) + `","note":"` + strings.Repeat("x", 100) + `"}`),
		Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: []byte(strconv.Itoa(n))},
			{Key: "ce_source", Value: []byte("/memory")}, {Key: "ce_type", Value: []byte(eventType)},
			{Key: "content-type", Value: []byte("application/json")},
		},
	}
}

// write writes n records to some of the partitions of a topic, in turn.
func (k *cluster) write(ctx context.Context, topic string, n int, into ...int32) error {
	var failed error
	for i := range n {
		k.client.Produce(ctx, record(topic, into[i%len(into)], i), func(_ *kgo.Record, err error) {
			// Callbacks come one after the other.
			failed = errors.Join(failed, err)
		})
	}
	return errors.Join(k.client.Flush(ctx), failed)
}

// backlog returns the memory of a function that has worked for a while on a backlog of n records.
func (k *cluster) backlog(ctx context.Context, n int, patience time.Duration) (int64, error) {
	return k.run(ctx, "1048588", work, func(topic string) error {
		return k.write(ctx, topic, n, 0, 1, 2)
	}, func(_ *running, group, topic string) error {
		select {
		case <-time.After(patience):
		case <-ctx.Done():
			return ctx.Err()
		}
		left, done, err := k.lag(ctx, group, topic)
		if err == nil && (done == 0 || left == 0) {
			err = fmt.Errorf("%d records handled, %d left: nothing is measured unless there are both", done, left)
		}
		return err
	})
}

// bombSizes are how many zeroes fit into a batch of a megabyte or, with snappy, which compresses to a twentieth at most,
// of seven.
var bombSizes = map[rawbatch.Codec]int64{rawbatch.Gzip: 1 << 30, rawbatch.Snappy: 128 << 20, rawbatch.LZ4: 250 << 20, rawbatch.Zstd: 1 << 30}

// bomb returns the memory of a function that got past two bombs in one of its partitions.
func (k *cluster) bomb(ctx context.Context, codec rawbatch.Codec) (int64, error) {
	bomb, err := rawbatch.Bomb(codec, bombSizes[codec])
	if err != nil {
		return 0, err
	}
	return k.run(ctx, "16000000", 0, func(topic string) error {
		if err := k.write(ctx, topic, 3000, 0, 1, 2); err != nil {
			return err
		}
		for range 2 {
			if _, err := rawbatch.Produce(ctx, k.client, topic, 0, bomb); err != nil {
				return err
			}
		}
		return k.write(ctx, topic, 3000, 0, 1, 2)
	}, func(r *running, group, topic string) error {
		if err := r.awaitNamed(ctx, topic+"/0"); err != nil {
			return err
		}
		return k.awaitDone(ctx, group, topic)
	})
}

// run fills a topic, has a function read it, waits until watch returns, and stops the function.
func (k *cluster) run(ctx context.Context, maxBytes string, work time.Duration, fill func(topic string) error,
	watch func(r *running, group, topic string) error,
) (int64, error) {
	topic, err := k.topic(ctx, "memory", maxBytes)
	if err != nil {
		return 0, err
	}
	letters, err := k.topic(ctx, "memory-letters", "2097152")
	if err != nil {
		return 0, err
	}
	defer k.remove(topic, letters)
	if err := fill(topic); err != nil {
		return 0, err
	}
	group := "memory-" + uuid.NewString()
	r, err := k.start(ctx, topic, group, letters, work)
	if err != nil {
		return 0, err
	}
	watchErr := watch(r, group, topic)
	peak, err := r.stop()
	return peak, errors.Join(watchErr, err)
}

// awaitNamed waits until the function's readiness holds a word.
func (r *running) awaitNamed(ctx context.Context, word string) error {
	return poll(ctx, namedWithin, "readiness does not name "+word, func() (bool, error) {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.address+"/readyz", http.NoBody)
		if err != nil {
			return false, err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			// It does not listen yet.
			return false, nil
		}
		defer response.Body.Close()
		body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
		return response.StatusCode == http.StatusServiceUnavailable && strings.Contains(string(body), word), err
	})
}

// awaitDone waits until the group has committed the whole topic.
func (k *cluster) awaitDone(ctx context.Context, group, topic string) error {
	return poll(ctx, bombTimeout, "records are left", func() (bool, error) {
		left, _, err := k.lag(ctx, group, topic)
		return left == 0, err
	})
}

// poll asks until the answer is true.
func poll(ctx context.Context, patience time.Duration, otherwise string, ask func() (bool, error)) error {
	for deadline := time.Now().Add(patience); ; {
		ok, err := ask()
		switch {
		case err != nil || ok:
			return err
		case time.Now().After(deadline):
			return fmt.Errorf("%s after %s", otherwise, patience)
		}
		select {
		case <-time.After(pollInterval):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
