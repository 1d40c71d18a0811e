package template_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/localdev/trigger/template"
)

// event is a template whose function has one event of type MSK; the tests add to its properties, or replace some.
func event(properties ...string) string {
	set := map[string]string{
		"Stream": "arn:aws:kafka:eu-west-1:123456789012:cluster/mill/1", "Topics": "[orders]", "StartingPosition": "TRIM_HORIZON",
		"ConsumerGroupId": "g", "FunctionResponseTypes": "[ReportBatchItemFailures]", "ProvisionedPollerConfig": "{}",
	}
	names := []string{"Stream", "Topics", "StartingPosition", "ConsumerGroupId", "FunctionResponseTypes", "ProvisionedPollerConfig"}
	for _, p := range properties {
		name, v, _ := strings.Cut(p, ": ")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		set[name] = v
	}
	var text strings.Builder
	text.WriteString("Transform: AWS::Serverless-2016-10-31\nParameters:\n  Needed: {Type: String}\nResources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Timeout: 60\n      Events:\n        E:\n          Type: MSK\n          Properties:\n")
	for _, name := range names {
		if set[name] != "" {
			fmt.Fprintf(&text, "            %s: %s\n", name, set[name])
		}
	}
	return text.String()
}

const properties = "Resources.F.Properties.Events.E.Properties."

func TestMappingRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ property, want string }{
		{"Stream: ", "Stream: is required"},
		{"Stream: [a]", "Stream: must be text, is a list"},
		{"Topics: ", "Topics: must name exactly one topic, not 0"},
		{"Topics: orders", "Topics: must be a list, is text"},
		{"Topics: [a, b]", "Topics: must name exactly one topic, not 2"},
		{"Topics: [!Ref Needed]", "Topics[0]: must be known here, and parameter Needed has no default: give it a value"},
		{"Topics: !Split [',', !Ref Needed]", "Topics: must be known here, and parameter Needed"},
		{"Topics: [!Ref Nowhere]", "Topics[0]: must be known here, and the template declares no Nowhere"},
		{"Topics: [!GetAtt Cluster.Topic]", "Topics[0]: must be known here"},
		{"Topics: ['{{resolve:ssm:/topic}}']", "Topics[0]: must be known here, and a dynamic reference"},
		{"Topics: [.a]", "Topics[0]: is \".a\", a topic has"},
		{"Topics: [" + strings.Repeat("a", 250) + "]", "a topic has 1 to 249 letters"},
		{"StartingPosition: ", "StartingPosition: is required"},
		{"StartingPosition: EARLIEST", `StartingPosition: is "EARLIEST", must be one of TRIM_HORIZON, LATEST, AT_TIMESTAMP`},
		{"StartingPosition: AT_TIMESTAMP", "StartingPositionTimestamp: is required with AT_TIMESTAMP"},
		{"ConsumerGroupId: ''", `ConsumerGroupId: is "", a group has 1 to 200`},
		{"ConsumerGroupId: a b", `ConsumerGroupId: is "a b", a group has`},
		{"ConsumerGroupId: " + strings.Repeat("a", 201), "a group has 1 to 200"},
		{"ConsumerGroupId: !Ref Needed", "ConsumerGroupId: must be known here"},
		{"BatchSize: 0", "BatchSize: is 0, must be 1 to 10000"},
		{"BatchSize: 10001", "BatchSize: is 10001, must be 1 to 10000"},
		{"BatchSize: ''", `BatchSize: is "", must be a whole number`},
		{"BatchSize: many", `BatchSize: is "many", must be a whole number`},
		{"BatchSize: !Ref Needed", "BatchSize: must be known here"},
		{"MaximumBatchingWindowInSeconds: 301", "must be 0 to 300"},
		{"MaximumBatchingWindowInSeconds: -1", "must be 0 to 300"},
		{"Enabled: perhaps", `Enabled: is "perhaps", must be true or false`},
		{"FilterCriteria: {Filters: {}}", "FilterCriteria.Filters: must be a list, is an object"},
		{"FilterCriteria: {Filters: [{}]}", "FilterCriteria.Filters[0].Pattern: a filter has a Pattern"},
		{"FilterCriteria: {Filters: [{Pattern: {value: [a]}}]}", "Filters[0].Pattern: must be text, is an object"},
		{`FilterCriteria: {Filters: [{Pattern: '{"key":["a"]}'}]}`, "Filters[0].Pattern: AWS refuses this: filter pattern 0: key: "},
		{"FilterCriteria: {Filters: [" + strings.Repeat(`{Pattern: '{"value":["a"]}'},`, 11) + "]}", "there are 11 filters, a mapping has at most 10"},
		{"FunctionResponseTypes: [ReportFailures]", `FunctionResponseTypes[0]: is "ReportFailures", there is only ReportBatchItemFailures`},
		{"ProvisionedPollerConfig: {MinimumPollers: 0}", "MinimumPollers: is 0, must be 1 to 200"},
		{"ProvisionedPollerConfig: {MaximumPollers: 2001}", "MaximumPollers: is 2001, must be 1 to 2000"},
		{"ProvisionedPollerConfig: {MinimumPollers: 5, MaximumPollers: 4}", "MinimumPollers is 5, above MaximumPollers, which is 4"},
		{"ProvisionedPollerConfig: 5", "ProvisionedPollerConfig: must be an object, is text"},
		{"MaximumRetryAttempts: -2", "MaximumRetryAttempts: is -2, must be -1 to 10000"},
		{"MaximumRecordAgeInSeconds: 59", "MaximumRecordAgeInSeconds: is 59, must be 60 to 604800"},
		{"DestinationConfig: {OnFailure: {}}", "OnFailure.Destination: is required"},
		{"DestinationConfig: {OnFailure: {Type: Email, Destination: 'kafka://x'}}", `OnFailure.Type: is "Email"`},
		{"DestinationConfig: {OnFailure: {Destination: 'kafka://orders'}}", "is the topic of the mapping itself"},
		{"DestinationConfig: {OnFailure: {Destination: 'kafka://a/b'}}", "what follows kafka:// must be the name of a topic"},
		{"DestinationConfig: {OnFailure: {Destination: !Sub 'kafka://${Needed}'}}", "Destination: must be known here"},
		{"DestinationConfig: {OnFailure: {Destination: 'arn:aws:sqs:eu-west-1:1:q.fifo'}}", "no FIFO"},
		{"DestinationConfig: {OnFailure: {Destination: 'arn:aws:dynamodb:eu-west-1:1:t'}}", "must be kafka://TOPIC or the ARN"},
		{"SourceAccessConfigurations: [{Type: BASIC_AUTH, URI: x}]", `SourceAccessConfigurations[0].Type: is "BASIC_AUTH", there is none`},
		{"SourceAccessConfigurations: [" + strings.Repeat("{Type: SASL_SCRAM_512_AUTH},", 30) + "]", "has 30 elements, must have at most 29"},
		{"BatchSzie: 10", "BatchSzie: an event of type MSK has no such property"},
		{"KafkaBootstrapServers: [a]", "KafkaBootstrapServers: an event of type MSK has no such property"},
	} {
		t.Run(c.property, func(t *testing.T) {
			t.Parallel()
			text := event(c.property)
			_, err := template.Parse([]byte(text), nil)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), properties) {
				t.Errorf("%s: %v, want an error at %s with %q", c.property, err, properties, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "\n") && c.want != "" {
				t.Errorf("%s: %v, want one error", c.property, err)
			}
		})
	}
}

func TestMappingWarns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		properties []string
		want       string
	}{
		{[]string{"FunctionResponseTypes: "}, "FunctionResponseTypes: without ReportBatchItemFailures"},
		{[]string{"ProvisionedPollerConfig: "}, "FunctionResponseTypes: AWS ignores this without ProvisionedPollerConfig"},
		{[]string{"ProvisionedPollerConfig: ", "FunctionResponseTypes: ", "MaximumRetryAttempts: 3"}, "MaximumRetryAttempts: AWS ignores this"},
		{[]string{"ProvisionedPollerConfig: ", "BisectBatchOnFunctionError: true"}, "BisectBatchOnFunctionError: AWS ignores this"},
		{[]string{"ProvisionedPollerConfig: ", "MaximumRecordAgeInSeconds: 60"}, "MaximumRecordAgeInSeconds: AWS ignores this"},
		{[]string{"ProvisionedPollerConfig: ", "LoggingConfig: {SystemLogLevel: INFO}"}, "LoggingConfig: AWS ignores this"},
		{[]string{"ProvisionedPollerConfig: ", "DestinationConfig: {OnFailure: {Destination: 'kafka://failed'}}"}, "Destination: AWS takes a topic only with ProvisionedPollerConfig"},
		{[]string{"SchemaRegistryConfig: {}"}, "SchemaRegistryConfig: schemas are not read here"},
		{[]string{"ParallelizationFactor: 2"}, "ParallelizationFactor: this is not for Kafka"},
		{[]string{"TumblingWindowInSeconds: 2"}, "TumblingWindowInSeconds: this is not for Kafka"},
		{[]string{"StartingPositionTimestamp: 1"}, "StartingPositionTimestamp: counts with AT_TIMESTAMP only"},
		{[]string{"DestinationConfig: {OnFailure: {Destination: 'arn:aws:sns:eu-west-1:1:t'}}"}, "is written to a file here, not to arn:aws:sns:eu-west-1:1:t"},
		{[]string{"MaximumRetryAttempts: -1", "DestinationConfig: {OnFailure: {Destination: 'kafka://failed'}}"}, "MaximumRetryAttempts: is -1, for ever, and AWS makes it 10"},
		{[]string{"FilterCriteria: {Filters: [" + strings.Repeat(`{Pattern: '{"value":["a"]}'},`, 6) + "]}"}, "there are 6 filters, and AWS takes 5"},
	} {
		t.Run(c.want, func(t *testing.T) {
			t.Parallel()
			parsed := parse(t, event(c.properties...), nil)
			if !slices.ContainsFunc(parsed.Warnings, func(w string) bool {
				return strings.HasPrefix(w, "line ") && strings.Contains(w, properties) && strings.Contains(w, c.want)
			}) {
				t.Errorf("%q: the warnings are %q, want one with %q", c.properties, parsed.Warnings, c.want)
			}
		})
	}
	if parsed := parse(t, event(), nil); len(parsed.Warnings) != 0 {
		t.Errorf("a mapping with nothing to warn of has the warnings %q", parsed.Warnings)
	}
}

func TestMappingReads(t *testing.T) {
	t.Parallel()
	base := template.Mapping{
		LogicalID: "E", Source: template.MSK, Stream: "arn:aws:kafka:eu-west-1:123456789012:cluster/mill/1", Topic: "orders", Group: "g",
		Start: template.TrimHorizon, BatchSize: 100, Window: 500 * time.Millisecond, Enabled: true, PartialResponses: true,
		MaxAttempts: -1, Provisioned: true, MinPollers: 1, MaxPollers: 200,
	}
	for _, c := range []struct {
		property string
		change   func(*template.Mapping)
	}{
		{"BatchSize: 10000", func(m *template.Mapping) { m.BatchSize = 10_000 }},
		{"MaximumBatchingWindowInSeconds: 0", func(m *template.Mapping) { m.Window = 0 }},
		{"MaximumBatchingWindowInSeconds: 300", func(m *template.Mapping) { m.Window = 5 * time.Minute }},
		{"MaximumRetryAttempts: 0", func(m *template.Mapping) { m.MaxAttempts = 0 }},
		{"MaximumRecordAgeInSeconds: 604800", func(m *template.Mapping) { m.MaxAge = 7 * 24 * time.Hour }},
		{"MaximumRecordAgeInSeconds: -1", func(*template.Mapping) {}},
		{"Topics: [a.b_c-1]", func(m *template.Mapping) { m.Topic = "a.b_c-1" }},
		{"ConsumerGroupId: a/b*:_+=.@-", func(m *template.Mapping) { m.Group = "a/b*:_+=.@-" }},
		{"Enabled: false", func(m *template.Mapping) { m.Enabled = false }},
		{"FilterCriteria: {}", func(*template.Mapping) {}},
		{"DestinationConfig: {}", func(*template.Mapping) {}},
		{"DestinationConfig: {OnFailure: {Destination: 'kafka://failed'}}", func(m *template.Mapping) { m.OnFailure, m.MaxAttempts = "kafka://failed", 10 }},
	} {
		t.Run(c.property, func(t *testing.T) {
			t.Parallel()
			want := base
			c.change(&want)
			got := parse(t, event(c.property), nil).Functions[0].Mappings
			if diff := cmp.Diff([]template.Mapping{want}, got); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

func TestTimestampMustNotBeInTheFuture(t *testing.T) {
	t.Parallel()
	at := func(seconds int64) (*template.Template, error) {
		text := event("StartingPosition: AT_TIMESTAMP", fmt.Sprintf("StartingPositionTimestamp: %d", seconds))
		return template.Parse([]byte(text), &template.Options{Now: now})
	}
	parsed, err := at(now.Unix())
	if err != nil || !parsed.Functions[0].Mappings[0].StartAt.Equal(now) {
		t.Errorf("now: %+v, %v", parsed, err)
	}
	if _, err := at(now.Unix() + 1); err == nil || !strings.Contains(err.Error(), "must not be in the future") {
		t.Errorf("in a second: %v, want an error", err)
	}
}

func TestAGroupIsTakenOnce(t *testing.T) {
	t.Parallel()
	_, function, _ := strings.Cut(event(), "  F:\n")
	text := event() + "  G:\n" + function
	_, err := template.Parse([]byte(text), nil)
	const want = "line 30: Resources.G.Properties.Events.E.Properties.ConsumerGroupId: g is the group of Resources.F.Properties.Events.E.Properties.ConsumerGroupId too, and AWS takes a group once"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestSelfManagedRefuses(t *testing.T) {
	t.Parallel()
	const text = `
Transform: AWS::Serverless-2016-10-31
Resources:
  F:
    Type: AWS::Serverless::Function
    Properties:
      Events:
        E:
          Type: SelfManagedKafka
          Properties: {Topics: [a], StartingPosition: LATEST, %s}
`
	for given, want := range map[string]string{
		"SourceAccessConfigurations: [{Type: BASIC_AUTH}]":                               "KafkaBootstrapServers: is required",
		"KafkaBootstrapServers: ['a:9092']":                                              "SourceAccessConfigurations: SAM takes no event",
		"KafkaBootstrapServers: ['a:9092'], SourceAccessConfigurations: [{Type: NTLM}]":  `Type: is "NTLM"`,
		"KafkaBootstrapServers: a, SourceAccessConfigurations: [{Type: BASIC_AUTH}]":     "KafkaBootstrapServers: must be a list, is text",
		"KafkaBootstrapServers: !GetAtt Cluster.Brokers":                                 "SourceAccessConfigurations: SAM takes no event",
		"Stream: x, KafkaBootstrapServers: [a], SourceAccessConfigurations: [{Type: X}]": "Stream: an event of type SelfManagedKafka has no such property",
	} {
		_, err := template.Parse(fmt.Appendf(nil, text, given), nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", given, err, want)
		}
	}
}
