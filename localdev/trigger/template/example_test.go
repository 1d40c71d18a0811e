package template_test

import (
	"fmt"

	"github.com/millrace/millrace/localdev/trigger/template"
)

func ExampleParse() {
	const text = `
Transform: AWS::Serverless-2016-10-31
Parameters:
  Stage: {Type: String, Default: test}
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/orders
      Events:
        Records:
          Type: MSK
          Properties:
            Stream: !GetAtt Cluster.Arn
            Topics: [!Sub "${Stage}-orders"]
            StartingPosition: TRIM_HORIZON
            ConsumerGroupId: orders
            ParallelizationFactor: 2
            FunctionResponseTypes: [ReportBatchItemFailures]
            ProvisionedPollerConfig: {MaximumPollers: 6}
`
	t, err := template.Parse([]byte(text), &template.Options{Parameters: map[string]string{"Stage": "live"}})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, f := range t.Functions {
		for _, m := range f.Mappings {
			fmt.Println(f.CodeURI, "reads", m.Topic, "as", m.Group, "from", m.Stream, "by", m.BatchSize)
		}
	}
	fmt.Println(t.Warnings[0])
	// Output:
	// functions/orders reads live-orders as orders from <Cluster.Arn> by 100
	// line 18: Resources.Orders.Properties.Events.Records.Properties.ParallelizationFactor: this is not for Kafka
}
