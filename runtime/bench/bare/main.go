// Command bare is what a team would deploy without millrace: aws-lambda-go, its types of a Kafka trigger, and the events of
// the CloudEvents SDK.
package main

import (
	"context"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambda"
	"github.com/cloudevents/sdk-go/v2/event"
)

func main() { lambda.Start(handle) }

func handle(_ context.Context, batch events.KafkaEvent) (any, error) {
	for _, records := range batch.Records {
		for _, r := range records {
			e := event.New()
			e.SetID(fmt.Sprintf("%s-%d-%d", r.Topic, r.Partition, r.Offset))
			if err := e.SetData(event.ApplicationJSON, []byte(r.Value)); err != nil {
				return nil, err
			}
		}
	}
	return nil, nil
}
