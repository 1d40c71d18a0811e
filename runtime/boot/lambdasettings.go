package boot

import (
	"errors"
	"strings"

	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
)

// lambdaSettings are what AWS Lambda, or a program that stands in for it, says of itself.
type lambdaSettings struct {
	RuntimeAPI string `env:"AWS_LAMBDA_RUNTIME_API" doc:"Set by Lambda: host and port of its interface. Where it is set, the program serves invocations."`
	MemoryMB   int64  `env:"AWS_LAMBDA_FUNCTION_MEMORY_SIZE" min:"0" max:"1048576" doc:"Set by Lambda: the function's memory in MB, which the collector keeps within where GOMEMLIMIT is not set."`
	LogLevel   string `env:"AWS_LAMBDA_LOG_LEVEL" doc:"Set by Lambda: TRACE, DEBUG, INFO, WARN, ERROR or FATAL, where LOG_LEVEL is not set."`
	LogFormat  string `env:"AWS_LAMBDA_LOG_FORMAT" doc:"Set by Lambda: JSON or Text, where LOG_FORMAT is not set. Default: JSON."`
	SAMLocal   bool   `env:"AWS_SAM_LOCAL, default=false" doc:"Set by sam local: where KAFKA_BROKERS is not set, events and dead letters are printed."`

	// prints says that there is no Kafka, and need not be.
	prints bool
}

// runtimeAPI returns where Lambda's interface is, and whether this is Lambda.
func runtimeAPI(lookup function.Lookup) (string, bool) {
	api, _ := lookup("AWS_LAMBDA_RUNTIME_API")
	return api, api != ""
}

// loadOnLambda is [load] for Lambda, where some settings are impossible and others have to be made.
func loadOnLambda(lookup function.Lookup, services int) (*settings, *lambdaSettings, error) {
	s, l := &settings{}, &lambdaSettings{}
	err := config.Load(nonEmpty(lookup), append(s.targets(services > 0), l)...)
	if s.Group.ExactlyOnce {
		err = errors.Join(err, config.Problem{Variable: "EXACTLY_ONCE", What: "must be false on Lambda, which commits the offsets itself: " +
			"set IDEMPOTENCY_STORE, so that an event that is delivered again is not handled again"})
	}
	l.completeLog(lookup, s)
	return s, l, err
}

// requireBrokers returns an error where something is published and nobody says where to. sam local is said nothing: there it is
// printed.
func (l *lambdaSettings) requireBrokers(lookup function.Lookup, p *program) error {
	if brokers, _ := lookup("KAFKA_BROKERS"); brokers != "" || !p.publishes() {
		return nil
	}
	l.prints = l.SAMLocal
	if l.prints {
		return nil
	}
	return config.Problem{Variable: "KAFKA_BROKERS", What: "must be set on Lambda: it is where events and dead letters are published"}
}

// completeLog takes Lambda's level and format of logs where ours are not set.
func (l *lambdaSettings) completeLog(lookup function.Lookup, s *settings) {
	if own, _ := lookup("LOG_LEVEL"); own == "" {
		switch level := strings.ToLower(l.LogLevel); level {
		case "trace":
			s.Telemetry.LogLevel = "debug"
		case "debug", "info", "warn", "error":
			s.Telemetry.LogLevel = level
		case "fatal":
			s.Telemetry.LogLevel = "error"
		}
	}
	if own, _ := lookup("LOG_FORMAT"); own == "" && strings.EqualFold(l.LogFormat, "text") {
		s.Telemetry.LogFormat = "text"
	}
}

// nonEmpty takes variables that hold nothing for missing: so sam local passes on those that a template leaves out.
func nonEmpty(lookup function.Lookup) function.Lookup {
	return func(name string) (string, bool) {
		value, _ := lookup(name)
		return value, value != ""
	}
}
