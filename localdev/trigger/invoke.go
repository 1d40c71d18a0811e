package trigger

import (
	"context"
	"time"

	"github.com/millrace/millrace/localdev/trigger/process"
)

// The errorCodes of ESM_PROCESSING_EVENT.
const (
	codeFunction    = "FunctionError"
	codeAnswer      = "MalformedResponse"
	codePartial     = "PartialBatchFailure"
	codeService     = "ServiceError"
	codeDropped     = "RecordsDropped"
	codeDestination = "OnFailureDestinationDeliveryError"
	codeCommit      = "CommitError"
	codePoll        = "PollingError"
	codePosition    = "OffsetOutOfRange"
)

// invoke calls the function with b and hands the loop what became of it.
func (m *mapping) invoke(ctx context.Context, b *batch) {
	begin := time.Now()
	result, err := m.function.Invoke(ctx, m.encoder.event(b.records))
	o := m.interpret(b, result, err)
	o.duration = time.Since(begin)
	m.post(func() { m.answered(b, o) })
}

// interpret says what a call means for b's records.
func (m *mapping) interpret(b *batch, result process.Result, err error) outcome {
	o := outcome{requestID: result.RequestID, counted: err == nil}
	switch {
	case err != nil:
		o.failed, o.whole, o.code, o.err = b.records, true, codeService, err
		return o
	case result.Error != nil:
		o.failed, o.whole, o.code, o.err = b.records, true, codeFunction, result.Error
		o.function = "Unhandled"
		return o
	case !m.spec.PartialResponses:
		return o
	}
	identifiers, err := parseAnswer(result.Payload)
	if err == nil {
		o.failed, err = selectFailed(b.records, identifiers, m.encoder)
	}
	if err != nil {
		o.failed, o.whole, o.code, o.err = b.records, true, codeAnswer, err
	} else if len(o.failed) > 0 {
		o.code = codePartial
	}
	return o
}

// answered decides what happens to b's records.
func (m *mapping) answered(b *batch, o outcome) {
	m.invocations--
	m.end(b)
	b.last = o
	m.observe(b, Event{Kind: Answered, Failed: len(o.failed), Duration: o.duration, Err: o.err})
	if len(o.failed) == 0 {
		m.settled(b)
		return
	}
	m.report(b, o)
	left := b.with(o.failed)
	left.failures++
	left.due = time.Now().Add(m.options.Backoff.Delay(left.failures))
	m.settled(b, m.again(left, o)...)
}

// again returns how what is left of a batch goes on.
func (m *mapping) again(left *batch, o outcome) []*batch {
	if o.counted && o.whole && m.spec.Bisect && len(left.records) > 1 {
		first, second := left.halve()
		m.observe(left, Event{Kind: Bisected, Delay: time.Until(left.due)})
		return []*batch{first, second}
	}
	if o.counted {
		left.attempts++
	}
	if m.spec.MaxAttempts >= 0 && left.attempts > m.spec.MaxAttempts {
		return []*batch{left.giveUp(conditionAttempts)}
	}
	m.observe(left, Event{Kind: Retrying, Delay: time.Until(left.due)})
	return []*batch{left}
}
