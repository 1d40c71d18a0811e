package boot

import (
	"fmt"

	"github.com/millrace/millrace/runtime/consumergroup"
	"github.com/millrace/millrace/runtime/kafkasink"
	"github.com/millrace/millrace/runtime/pipeline"
)

// outlet is where the functions of one consumer group publish to.
type outlet struct {
	sink    pipeline.Sink
	letters pipeline.DeadLetters
	// stage is nil where the sink returns when events are acknowledged.
	stage *consumergroup.Stage
	close func()
}

// requireOutputs returns nil when the cluster has every topic that line publishes to.
func requireOutputs(line *pipeline.Pipeline, sink *kafkasink.Sink) error {
	if err := sink.RequireTopics(line.Outputs()...); err != nil {
		return fmt.Errorf("consumer group %s publishes: %w", line.Group(), err)
	}
	return nil
}
