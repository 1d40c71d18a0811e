package template

import "slices"

// The ways in which Lambda proves who it is to a cluster, and where the cluster is.
var (
	managedAccess     = []string{"CLIENT_CERTIFICATE_TLS_AUTH", "SASL_SCRAM_512_AUTH"}
	selfManagedAccess = []string{
		"BASIC_AUTH", "CLIENT_CERTIFICATE_TLS_AUTH", "IAM_AUTH", "IAM_OAUTHBEARER_AUTH", "OAUTHBEARER_AUTH",
		"OAUTHBEARER_IDENTITY_POOL", "OAUTHBEARER_LOGICAL_CLUSTER", "OAUTHBEARER_SCOPE", "SASL_SCRAM_256_AUTH",
		"SASL_SCRAM_512_AUTH", "SERVER_ROOT_CA_CERTIFICATE", "VPC_SECURITY_GROUP", "VPC_SUBNET",
	}
)

// checkSource reads where the records come from.
func (p place) checkSource(s shape, m *Mapping) {
	access := p.member("SourceAccessConfigurations")
	accesses := access.elements()
	if len(accesses) > maxAccesses {
		access.failf("has %d elements, must have at most %d", len(accesses), maxAccesses)
	}
	allowed := managedAccess
	if s.source == SelfManaged {
		allowed = selfManagedAccess
	}
	for _, a := range accesses {
		if kind := a.member("Type"); kind.unknown == "" && !slices.Contains(allowed, kind.text) {
			kind.failf("is %q, there is none of this name for %s", kind.text, s.name)
		}
	}
	if s.source == MSK {
		stream := p.member(s.stream)
		if stream.missing() {
			stream.failf("is required: the ARN of the cluster")
		}
		m.Stream = stream.loose()
		return
	}
	m.Brokers = p.brokers(s)
	if s.name == selfManagedEvent.name && len(accesses) == 0 && access.unknown == "" {
		access.failf("SAM takes no event of type SelfManagedKafka without one")
	}
}

func (p place) brokers(s shape) []string {
	servers := p.in(s.servers...)
	if servers.unknown != "" {
		return []string{servers.text}
	}
	var brokers []string
	for _, e := range servers.elements() {
		brokers = append(brokers, e.loose())
	}
	if len(brokers) == 0 {
		servers.failf("is required: HOST:PORT of the brokers")
	}
	return brokers
}

// provisionedOnly are the properties that count with provisioned pollers alone.
var provisionedOnly = []string{
	"BisectBatchOnFunctionError", "FunctionResponseTypes", "LoggingConfig", "MaximumRecordAgeInSeconds",
	"MaximumRetryAttempts", "SchemaRegistryConfig",
}

// advise says what AWS would ignore, and what surprises people.
func (p place) advise(s shape, m Mapping) {
	if !m.Provisioned {
		for _, name := range provisionedOnly {
			if set := p.member(name); !set.missing() {
				set.warnf("AWS ignores this without %s", provisionedPollers)
			}
		}
	}
	for _, name := range []string{"ParallelizationFactor", "ScalingConfig", "TumblingWindowInSeconds"} {
		if set := p.member(name); !set.missing() {
			set.warnf("this is not for Kafka")
		}
	}
	config := p.in(s.group[:len(s.group)-1]...)
	if registry := config.member("SchemaRegistryConfig"); !registry.missing() {
		registry.warnf("schemas are not read here: records arrive as they are in the topic")
	}
	if mode := config.member("ConsumptionMode"); mode.text == "Queue" {
		mode.warnf("queues are not emulated: records are read in order, as without this")
	}
	if !m.PartialResponses {
		p.member("FunctionResponseTypes").warnf("without %s one record that fails brings back its whole batch", partialResponses)
	}
	if m.Group == "" {
		p.in(s.group...).notef("is not set: AWS makes a group of the mapping's id, which nobody else can continue")
	} else {
		p.member(startingPosition).notef("counts only while group %s has committed nothing", m.Group)
	}
}
