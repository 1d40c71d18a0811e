package trigger

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/millrace/millrace/localdev/trigger/template"
)

// Why records are given up, in AWS's words.
const (
	conditionAttempts = "RetryAttemptsExhausted"
	conditionSize     = "MaximumPayloadSizeExceeded"
	// conditionAge is Kinesis's: Kafka's documentation shows none.
	conditionAge = "RecordAgeExceeded"
	// topicAttempts is what the documentation shows in place of conditionAttempts in a Kafka destination.
	topicAttempts = "RetriesExhausted"
)

// documents writes what goes to a destination, as
// https://docs.aws.amazon.com/lambda/latest/dg/kafka-on-failure.html and …/kafka-on-failure-destination.html show it.
type documents struct {
	spec        *template.Mapping
	functionARN string
	encoder     *encoder
	brokers     []string
}

type document struct {
	RequestContext requestContext `json:"requestContext"`
	// ResponseContext is null where the function was not called.
	ResponseContext *responseContext `json:"responseContext"`
	Version         string           `json:"version"`
	Timestamp       string           `json:"timestamp"`
	Batch           batchInfo        `json:"KafkaBatchInfo"` //nolint:tagliatelle // AWS writes it so
	Payload         jsontext.Value   `json:"payload,omitzero"`
}

type requestContext struct {
	RequestID   string `json:"requestId"`
	FunctionARN string `json:"functionArn"`
	Condition   string `json:"condition"`
	Calls       int    `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode int    `json:"statusCode"`
	Version    string `json:"executedVersion"`
	Error      string `json:"functionError,omitzero"`
}

type batchInfo struct {
	Size        int                   `json:"batchSize"`
	Stream      string                `json:"eventSourceArn,omitzero"`
	Brokers     string                `json:"bootstrapServers"`
	PayloadSize int                   `json:"payloadSize"`
	Partitions  map[string]recordsRun `json:"recordsInfo,omitzero"`
	Record      *recordInfo           `json:"recordInfo,omitzero"`
}

// recordsRun are the records of a partition. Offsets are text, as AWS has them.
type recordsRun struct {
	FirstOffset string `json:"firstRecordOffset"`
	LastOffset  string `json:"lastRecordOffset"`
	FirstTime   string `json:"firstRecordTimestamp"`
	LastTime    string `json:"lastRecordTimestamp"`
}

type recordInfo struct {
	Offset string `json:"offset"`
	Time   string `json:"timestamp"`
}

func timestamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
func number(n int64) string        { return strconv.FormatInt(n, 10) }

// new returns the part that all documents share; event is what the records are or were sent in.
func (d *documents) new(b *batch, records []*record, event []byte, now time.Time) *document {
	doc := &document{
		RequestContext: requestContext{b.last.requestID, d.functionARN, b.condition, b.calls},
		Version:        "1.0",
		Timestamp:      timestamp(now),
		Batch:          batchInfo{Size: len(records), Brokers: strings.Join(d.brokers, ","), PayloadSize: len(event)},
	}
	if d.spec.Source == template.MSK {
		doc.Batch.Stream = d.spec.Stream
	}
	if b.calls > 0 {
		doc.ResponseContext = &responseContext{StatusCode: 200, Version: "$LATEST", Error: b.last.function}
	}
	return doc
}

// ofBatch returns the document for SQS and SNS, or with the event, as text, for S3.
func (d *documents) ofBatch(b *batch, now time.Time, whole bool) ([]byte, error) {
	event := d.encoder.event(b.records)
	doc := d.new(b, b.records, event, now)
	doc.Batch.Partitions = map[string]recordsRun{}
	for _, r := range b.records {
		name := d.encoder.partitionName(r.claim.partition)
		run, found := doc.Batch.Partitions[name]
		if !found {
			run.FirstOffset, run.FirstTime = number(r.offset), timestamp(r.timestamp)
		}
		run.LastOffset, run.LastTime = number(r.offset), timestamp(r.timestamp)
		doc.Batch.Partitions[name] = run
	}
	if whole {
		doc.Payload = appendString(nil, string(event))
	}
	return json.Marshal(doc, json.Deterministic(true))
}

// ofRecord returns the document of one record for a topic, with the event as an object.
func (d *documents) ofRecord(b *batch, r *record, now time.Time) ([]byte, error) {
	records := []*record{r}
	event := d.encoder.event(records)
	doc := d.new(b, records, event, now)
	if doc.RequestContext.Condition == conditionAttempts {
		doc.RequestContext.Condition = topicAttempts
	}
	doc.Batch.Record = &recordInfo{number(r.offset), timestamp(r.timestamp)}
	doc.Payload = event
	return json.Marshal(doc)
}
