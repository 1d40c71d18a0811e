package trigger

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/cluster"
)

// kafkaScheme begins the destinations that are topics.
const kafkaScheme = "kafka://"

// outlet is an on-failure destination.
type outlet interface {
	// deliver returns the records that the destination has not acknowledged, all of which are to be delivered again.
	deliver(ctx context.Context, b *batch) (left []*record, err error)
}

// newOutlet returns the mapping's destination, nil where there is none.
func (m *mapping) newOutlet(ctx context.Context) (outlet, error) {
	to := m.spec.OnFailure
	topic, isTopic := strings.CutPrefix(to, kafkaScheme)
	d := documents{spec: &m.spec, functionARN: m.options.FunctionARN, encoder: m.encoder, brokers: m.options.Kafka.Brokers}
	switch {
	case to == "":
		return nil, nil
	case isTopic:
		return &topicOutlet{documents: d, kafka: m.kafka, topic: topic}, m.kafka.CheckTopic(ctx, topic)
	default:
		service, name := resource(to)
		return &fileOutlet{documents: d, folder: filepath.Join(m.options.Folder, service+"-"+name), whole: service == "s3"}, nil
	}
}

// deliver hands b to the destination, which may be none, and the loop what became of it.
func (m *mapping) deliver(ctx context.Context, b *batch) {
	var left []*record
	var err error
	if m.outlet != nil {
		ctx, cancel := context.WithTimeout(ctx, 2*deliveryTimeout)
		left, err = m.outlet.deliver(ctx, b)
		cancel()
	}
	m.post(func() { m.delivered(b, left, err) })
}

func (m *mapping) delivered(b *batch, left []*record, err error) {
	m.end(b)
	done := b.with(without(b.records, left))
	kind := Delivered
	if m.outlet == nil {
		kind = Dropped
		m.warn(codeDropped, fmt.Errorf("records %s are given up (%s) and there is no destination for them", describe(done.records), b.condition))
	}
	if len(done.records) > 0 {
		m.observe(done, Event{Kind: kind})
	}
	if len(left) == 0 {
		m.settled(b)
		return
	}
	again := b.with(left)
	again.failures++
	again.due = time.Now().Add(m.options.Backoff.Delay(again.failures))
	m.warn(codeDestination, fmt.Errorf("records %s to %s: %w", describe(left), m.spec.OnFailure, err))
	m.settled(b, again)
}

// without returns those of records that are not among left, which is in the same order.
func without(records, left []*record) []*record {
	var others []*record
	for _, r := range records {
		if len(left) > 0 && left[0] == r {
			left = left[1:]
		} else {
			others = append(others, r)
		}
	}
	return others
}

// topicOutlet writes a record for each record, under its key.
type topicOutlet struct {
	documents

	kafka *cluster.Client
	topic string
}

func (o *topicOutlet) deliver(ctx context.Context, b *batch) ([]*record, error) {
	now := time.Now()
	out := make([]*kgo.Record, len(b.records))
	for i, r := range b.records {
		document, err := o.ofRecord(b, r, now)
		if err != nil {
			return b.records, err
		}
		out[i] = &kgo.Record{Topic: o.topic, Key: r.key, Value: document}
	}
	refused := map[*kgo.Record]bool{}
	var errs []error
	for _, result := range o.kafka.ProduceSync(ctx, out...) {
		if result.Err != nil && len(refused) == 0 {
			errs = append(errs, result.Err)
		}
		refused[result.Record] = result.Err != nil
	}
	var left []*record
	for i, r := range b.records {
		if refused[out[i]] {
			left = append(left, r)
		}
	}
	return left, errors.Join(errs...)
}

// fileOutlet writes a file for each batch. The same records always become the same file: a delivery that is repeated
// leaves no second one.
type fileOutlet struct {
	documents

	folder string
	// whole tells that the event is part of the document.
	whole bool
}

func (o *fileOutlet) deliver(_ context.Context, b *batch) ([]*record, error) {
	document, err := o.ofBatch(b, time.Now(), o.whole)
	if err != nil {
		return b.records, err
	}
	if err := o.write(o.name(b), document); err != nil {
		return b.records, err
	}
	return nil, nil
}

func (o *fileOutlet) name(b *batch) string {
	all := ranges(b.records)
	name := fmt.Sprintf("%s@%d-%d", o.encoder.partitionName(all[0].Partition), all[0].First, all[0].Last)
	if len(all) > 1 {
		name += fmt.Sprintf("+%d", len(all)-1)
	}
	return safe(name) + ".json"
}

// write makes the file appear as a whole.
func (o *fileOutlet) write(name string, document []byte) error {
	if err := os.MkdirAll(o.folder, 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(o.folder, ".*.tmp")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // after the renaming there is none of that name
	_, err = f.Write(document)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), filepath.Join(o.folder, name))
}

// resource returns the service and the name of what an ARN names, both fit to be parts of a path.
func resource(arn string) (service, name string) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return "destination", safe(arn)
	}
	return safe(parts[2]), safe(parts[5])
}

var unsafe = regexp.MustCompile(`[^a-zA-Z0-9@+_.-]+|^\.+`)

func safe(name string) string { return unsafe.ReplaceAllString(name, "_") }
