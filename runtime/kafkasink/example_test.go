package kafkasink_test

import (
	"context"
	"fmt"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/millrace/millrace/runtime/deadletter"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/kafkaclient"
	"github.com/millrace/millrace/runtime/kafkasink"
)

// A program that is not a function publishes an event. What fails is told to it, and kept as a dead letter.
func ExamplePublisher() {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "order-events", "dead-letter-queue"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer broker.Close()

	sink, err := kafkasink.Open(kafkaclient.Config{Brokers: broker.ListenAddrs()}, "order-service", nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	letters := deadletter.NewWriter(sink, deadletter.Service{Name: "order-service"}, nil)
	publisher := kafkasink.NewPublisher(sink, letters, "/order-service")

	created := event.New()
	created.SetType("dev.millrace.order.created.v1")
	created.SetSubject("order-1")
	created.SetExtension(function.PartitionKey, "order-1")
	fmt.Println("published:", publisher.Publish(context.Background(), "order-events", created) == nil)

	created.SetType("") // not an event
	err = publisher.Publish(context.Background(), "order-events", created)
	fmt.Println("refused:", function.VerdictOf(err), "- dead letters:", letters.Written())

	fmt.Println("closed:", sink.Close() == nil)
	// Output:
	// published: true
	// refused: dead-letter - dead letters: 1
	// closed: true
}
