package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/millrace/millrace/localdev/stack"
	"github.com/millrace/millrace/localdev/text"
	"github.com/millrace/millrace/localdev/trigger"
	"github.com/millrace/millrace/localdev/trigger/process"
	"github.com/millrace/millrace/localdev/trigger/runtimeapi"
)

// payload reads the event of the command line, and makes one of the MSK trigger of it unless it is that.
func (i *invoke) payload(ctx context.Context, f *stack.Function) ([]byte, error) {
	name, input, err := i.readInput(ctx, []string{i.event})
	if err != nil && ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, &hinted{err: err, code: exitUsage, try: "millrace invoke FUNCTION -e FILE, or - for standard input"}
	}
	payload := input
	if !isTriggerEvent(input) {
		if payload, err = wrap(name, input, f); err != nil {
			return nil, &hinted{
				err: err, code: exitUsage,
				try: "an event of the MSK trigger (with records), CloudEvents in JSON, or JSON envelopes; functions/*/testdata has some",
			}
		}
	}
	if len(payload) > runtimeapi.MaxPayload {
		err := &process.PayloadTooLargeError{Function: f.Label, Size: len(payload)}
		return nil, &hinted{err: err, code: exitUsage, try: "fewer records"}
	}
	return payload, nil
}

// isTriggerEvent tells whether an input is an event of a Kafka trigger. What only looks like one is for the function to
// judge.
func isTriggerEvent(input []byte) bool {
	var members struct {
		Records jsontext.Value `json:"records"`
		Event   jsontext.Value `json:"eventId"`
		Spec    jsontext.Value `json:"specversion"`
	}
	loose := json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))
	input = bytes.TrimSpace(input)
	return json.Unmarshal(input, &members, loose) == nil && members.Records != nil && members.Event == nil && members.Spec == nil
}

// wrap makes an event of the MSK trigger of the events in an input: records of one partition of the function's topic.
func wrap(name string, input []byte, f *stack.Function) ([]byte, error) {
	if len(f.Mappings) == 0 {
		return nil, fmt.Errorf("%s has no event source of Kafka whose records these events could be", f.Label)
	}
	m := f.Mappings[0]
	var (
		records []*kgo.Record
		wrong   problems
	)
	for e, err := range text.Events(input) {
		if err != nil {
			wrong.add(err)
			continue
		}
		r := &kgo.Record{Topic: m.Topic, Offset: int64(len(records)), Key: e.Message.Key, Value: e.Message.Value, Timestamp: e.Time()}
		if r.Timestamp.IsZero() {
			r.Timestamp = time.Now()
		}
		for _, h := range e.Message.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: string(h.Key), Value: h.Value})
		}
		records = append(records, r)
	}
	switch {
	case wrong.count > 0:
		return nil, wrong.failed("%s holds what is no event", name)
	case len(records) == 0:
		return nil, errors.New(name + " holds no event")
	}
	return trigger.Encode(m, nil, records...), nil
}
