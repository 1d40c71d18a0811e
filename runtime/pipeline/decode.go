package pipeline

import (
	"errors"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/millrace/millrace/cloudevents/envelope"
	"github.com/millrace/millrace/cloudevents/kafkabinding"
	"github.com/millrace/millrace/runtime/function"
)

// decode reads the record as a CloudEvent in binary or structured mode, or as the JSON envelope. A record that is none of
// these is poison: the error says what was tried. A decoder that panics has met poison as well.
func decode(r *Record) (e event.Event, err error) {
	defer func() {
		if v := recover(); v != nil {
			err = undecodable(fmt.Errorf("the decoder panicked: %v", v))
		}
	}()
	e, err = kafkabinding.Decode(r.Message)
	if !errors.Is(err, kafkabinding.ErrNotCloudEvent) {
		return e, undecodable(err)
	}
	e, err = envelope.Decode(r.Value)
	if errors.Is(err, envelope.ErrNotEnvelope) {
		err = errors.New("neither a CloudEvent (no ce_ headers, no structured content type) nor a JSON envelope")
	}
	return e, undecodable(err)
}

func undecodable(err error) error {
	if err == nil {
		return nil
	}
	return &function.PermanentError{Class: function.ClassUndecodable, Err: err}
}
