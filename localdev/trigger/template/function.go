package template

import (
	"math"
	"regexp"
	"slices"
	"time"
)

// The bounds of functions, which are AWS's.
const (
	maxTimeoutSeconds      = 900
	maxKafkaTimeoutSeconds = 14 * 60
	minMemoryMB            = 128
	maxMemoryMB            = 10_240
	maxEnvironmentBytes    = 4096
)

// serverlessProperties are the properties of an AWS::Serverless::Function.
var serverlessProperties = append([]string{
	"AutoPublishCodeSha256", "Events", "FunctionName", "ImageConfig", "ImageUri", "InlineCode", "PackageType", "Policies",
	"Role", "VersionDescription",
}, globalProperties...)

// lambdaProperties are the properties of an AWS::Lambda::Function.
var lambdaProperties = []string{
	"Architectures", "CapacityProviderConfig", "Code", "CodeSigningConfigArn", "DeadLetterConfig", "Description",
	"DurableConfig", "Environment", "EphemeralStorage", "FileSystemConfigs", "FunctionName", "FunctionScalingConfig",
	"Handler", "ImageConfig", "KmsKeyArn", "Layers", "LoggingConfig", "MemorySize", "PackageType",
	"PublishToLatestPublished", "RecursiveLoop", "ReservedConcurrentExecutions", "Role", "Runtime",
	"RuntimeManagementConfig", "SnapStart", "Tags", "TenancyConfig", "Timeout", "TracingConfig", "VpcConfig",
}

// function reads the function at a place among the resources.
func (p place) function(kind string) Function {
	properties, code := p.raw("Properties"), "CodeUri"
	names := serverlessProperties
	if kind == serverlessFunction {
		p.checkTransform()
		properties.value = merge(p.globals(p), properties.value)
		properties.line = p.line
	} else {
		names, code = lambdaProperties, "Code"
	}
	for _, m := range properties.members {
		if !slices.Contains(names, m.name) {
			properties.raw(m.name).warnf("%s has no such property, as far as is known here", kind)
		}
	}
	name, _ := p.functionName(p.name())
	f := Function{
		LogicalID:           p.name(),
		Name:                name.text,
		CodeURI:             properties.member(code).folder(),
		Runtime:             properties.member("Runtime").loose(),
		Architecture:        properties.member("Architectures").architecture(),
		BuildMethod:         p.raw("Metadata").member("BuildMethod").loose(),
		Timeout:             time.Duration(properties.member("Timeout").number(1, maxTimeoutSeconds, 3)) * time.Second,
		MemoryMB:            properties.member("MemorySize").number(minMemoryMB, maxMemoryMB, minMemoryMB),
		Environment:         properties.in("Environment", "Variables").environment(),
		ReservedConcurrency: properties.member("ReservedConcurrentExecutions").number(0, math.MaxInt32, -1),
	}
	if kind == serverlessFunction {
		for _, event := range properties.member("Events").fields() {
			f.addEvent(event)
		}
	}
	if len(f.Mappings) > 0 {
		f.checkTimeout(properties)
	}
	return f
}

// checkTransform complains of a template that AWS would not give to SAM.
func (p place) checkTransform() {
	transform := p.section("Transform")
	names := transform.items
	if transform.kind == text {
		names = []value{transform.value}
	}
	if !slices.ContainsFunc(names, func(v value) bool { return v.text == "AWS::Serverless-2016-10-31" }) {
		transform.failf("%s needs Transform: AWS::Serverless-2016-10-31", serverlessFunction)
	}
}

func (f *Function) checkTimeout(properties place) {
	if f.Timeout > maxKafkaTimeoutSeconds*time.Second {
		properties.member("Timeout").failf("is %v, must be at most 14m0s for a function with a Kafka event source", f.Timeout)
	}
}

func (f *Function) addEvent(event place) {
	kind := event.member("Type")
	if kind.missing() {
		kind.failf("an event has a Type")
	}
	switch kind.str() {
	case "MSK":
		f.Mappings = append(f.Mappings, event.member("Properties").mapping(mskEvent, event.name()))
	case "SelfManagedKafka":
		f.Mappings = append(f.Mappings, event.member("Properties").mapping(selfManagedEvent, event.name()))
	case "Schedule":
		f.Schedules = append(f.Schedules, event.member("Properties").schedule("Schedule", event.name()))
	case "ScheduleV2":
		f.Schedules = append(f.Schedules, event.member("Properties").schedule("ScheduleExpression", event.name()))
	}
}

// folder returns the folder of the code; none where the code is an object in S3 or the like.
func (p place) folder() string {
	switch {
	case p.kind != text:
		return ""
	case p.unknown != "":
		p.warnf("the folder of the code is not known: %s", p.unknown)
		return ""
	default:
		return p.text
	}
}

func (p place) architecture() string {
	names := p.elements()
	if len(names) > 1 {
		p.failf("must name one architecture, not %d", len(names))
	}
	if len(names) == 0 {
		return "x86_64"
	}
	return names[0].oneOf("x86_64", "arm64")
}

// variableName is what AWS takes as the name of a variable.
var variableName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]+$`)

// reservedVariables are set by Lambda itself; AWS refuses a function that sets one.
var reservedVariables = []string{
	"_HANDLER", "_X_AMZN_TRACE_ID", "AWS_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION", "AWS_EXECUTION_ENV",
	"AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "AWS_LAMBDA_FUNCTION_NAME", "AWS_LAMBDA_FUNCTION_VERSION",
	"AWS_LAMBDA_INITIALIZATION_TYPE", "AWS_LAMBDA_LOG_GROUP_NAME", "AWS_LAMBDA_LOG_STREAM_NAME", "AWS_LAMBDA_RUNTIME_API",
	"AWS_REGION", "AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SESSION_TOKEN", "LAMBDA_RUNTIME_DIR", "LAMBDA_TASK_ROOT",
}

func (p place) environment() map[string]string {
	variables := map[string]string{}
	size := 0
	for _, v := range p.fields() {
		name := v.name()
		switch {
		case slices.Contains(reservedVariables, name):
			v.failf("Lambda sets this variable itself")
		case !variableName.MatchString(name):
			v.failf("the name of a variable is at least two letters, digits and underscores, a letter first")
		case v.unknown != "":
			v.warnf("the value is %q here, for %s", v.text, v.unknown)
		}
		variables[name] = v.loose()
		size += len(name) + len(variables[name])
	}
	if size > maxEnvironmentBytes {
		p.warnf("the variables have %d bytes, Lambda takes 4 KB", size)
	}
	return variables
}
