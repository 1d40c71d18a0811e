package template

import (
	"slices"
	"strings"
)

// shape says where one kind of resource or event has the settings of a mapping.
type shape struct {
	name       string
	source     Source
	properties []string
	// stream is the property with the ARN of MSK; servers leads to the brokers of SelfManaged.
	stream  string
	servers []string
	// group leads to the consumer group.
	group []string
}

// common are the properties that all shapes have.
var common = []string{
	"BatchSize", "BisectBatchOnFunctionError", "DestinationConfig", "Enabled", "FilterCriteria", "FunctionResponseTypes",
	"KmsKeyArn", "LoggingConfig", "MaximumBatchingWindowInSeconds", "MaximumRecordAgeInSeconds", "MaximumRetryAttempts",
	"MetricsConfig", "ParallelizationFactor", "ProvisionedPollerConfig", "ScalingConfig", "SourceAccessConfigurations",
	"StartingPosition", "StartingPositionTimestamp", "Topics", "TumblingWindowInSeconds",
}

const (
	managedConfig     = "AmazonManagedKafkaEventSourceConfig"
	selfManagedConfig = "SelfManagedKafkaEventSourceConfig"
)

var (
	mskEvent = shape{
		name: "an event of type MSK", source: MSK,
		properties: append([]string{"ConsumerGroupId", "SchemaRegistryConfig", "Stream"}, common...),
		stream:     "Stream", group: []string{"ConsumerGroupId"},
	}
	selfManagedEvent = shape{
		name: "an event of type SelfManagedKafka", source: SelfManaged,
		properties: append([]string{"ConsumerGroupId", bootstrapServers, "SchemaRegistryConfig", "SecretsManagerKmsKeyId"}, common...),
		servers:    []string{bootstrapServers}, group: []string{"ConsumerGroupId"},
	}
	resourceProperties = append([]string{managedConfig, "EventSourceArn", "FunctionName", "SelfManagedEventSource", selfManagedConfig, "Tags"}, common...)
	managedResource    = shape{
		name: eventSourceMapping, source: MSK, properties: resourceProperties,
		stream: "EventSourceArn", group: []string{managedConfig, "ConsumerGroupId"},
	}
	selfManagedResource = shape{
		name: eventSourceMapping, source: SelfManaged, properties: resourceProperties,
		servers: []string{"SelfManagedEventSource", "Endpoints", bootstrapServers},
		group:   []string{selfManagedConfig, "ConsumerGroupId"},
	}
)

// attach reads an AWS::Lambda::EventSourceMapping, if it is one of Kafka, and gives it to its function.
func (p place) attach(functions []Function) {
	properties := p.raw("Properties")
	var s shape
	switch {
	case !properties.member("SelfManagedEventSource").missing() || !properties.member(selfManagedConfig).missing():
		s = selfManagedResource
	case !properties.member("Topics").missing() || strings.Contains(properties.member("EventSourceArn").text, ":kafka:"):
		s = managedResource
	default:
		return
	}
	name := properties.member("FunctionName").loose()
	i := slices.IndexFunc(functions, func(f Function) bool { return isNamed(f, name) })
	if i < 0 {
		properties.member("FunctionName").warnf("the template has no function %q: this mapping is left out", name)
		return
	}
	f := &functions[i]
	f.Mappings = append(f.Mappings, properties.mapping(s, p.name()))
	owner := p.resource(f.LogicalID).raw("Properties")
	f.checkTimeout(owner)
}

// isNamed tells whether a name or ARN, perhaps with a version or an alias behind it, is the function's.
func isNamed(f Function, name string) bool {
	if _, after, ok := strings.Cut(name, ":function:"); ok {
		name = after
	}
	name, _, _ = strings.Cut(name, ":")
	return name == f.Name
}
