package stack

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/trigger/template"
)

func TestEnvironmentIsTheTemplatesWithLocalOnesOnTop(t *testing.T) {
	t.Parallel()
	f := &Function{Function: template.Function{Environment: map[string]string{
		"KAFKA_BROKERS": "b-1.mill:9098", "KAFKA_TLS": "true", "KAFKA_SASL_MECHANISM": "AWS_MSK_IAM", "KAFKA_SASL_PASSWORD": "<a secret>",
		"KAFKA_COMPRESSION": "zstd", "LOG_LEVEL": "info", "SMTP_FROM": "Shop <shop@mill.example>", "STAGE": "<parameter Stage>", "EMPTY": "",
	}}}
	here := map[string]string{
		"KAFKA_BROKERS": "127.0.0.1:9092", "LOG_LEVEL": "debug", "SMTP_ADDR": "127.0.0.1:1025", "HOME": "/home/ada", "KAFKA_COMPRESSION": "",
	}
	lookup := func(key string) (string, bool) { value, ok := here[key]; return value, ok }
	want := map[string]string{
		"KAFKA_BROKERS": "127.0.0.1:9092", "KAFKA_COMPRESSION": "zstd", "LOG_LEVEL": "debug", "SMTP_ADDR": "127.0.0.1:1025",
		"SMTP_FROM": "Shop <shop@mill.example>", "EMPTY": "",
	}
	if diff := cmp.Diff(want, environment(f, lookup, []string{"SMTP_ADDR", "KAFKA_TLS"})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	here["KAFKA_SASL_MECHANISM"], here["KAFKA_TLS"] = "SCRAM-SHA-512", "true"
	got := environment(f, lookup, nil)
	if got["KAFKA_SASL_MECHANISM"] != "SCRAM-SHA-512" || got["KAFKA_TLS"] != "true" {
		t.Errorf("the local cluster's settings do not replace the template's: %v", got)
	}
	if f.Environment["KAFKA_BROKERS"] != "b-1.mill:9098" {
		t.Error("the template was changed")
	}
}

func TestVariablesAreThoseOfTheRuntimeAndTheFunctions(t *testing.T) {
	t.Parallel()
	names := Variables(catalog.Functions())
	for _, want := range []string{"KAFKA_BROKERS", "KAFKA_SASL_PASSWORD", "LOG_LEVEL", "RETRY_FIRST_DELAY", "SMTP_ADDR", "NOTIFY_WEBHOOK_URL"} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is not among them", want)
		}
	}
}
