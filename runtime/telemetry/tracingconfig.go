package telemetry

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/millrace/millrace/runtime/config"
)

// TracingConfig is what the environment says about traces, in the words of OpenTelemetry. Spans are made where an endpoint is
// set. What is set for traces goes before what is set for all of OTLP.
//
// OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and its _ARG, OTEL_BSP_* and OTEL_SPAN_* are read by the
// OpenTelemetry SDK itself, and only while spans are made.
type TracingConfig struct {
	Disabled bool   `env:"OTEL_SDK_DISABLED" doc:"true: no spans are made, whatever else is set."`
	Exporter string `env:"OTEL_TRACES_EXPORTER, default=otlp" oneof:"otlp|none" doc:"none: no spans are made."`

	OTLP   OTLPConfig `env:", prefix=OTEL_EXPORTER_OTLP_"`
	Traces OTLPConfig `env:", prefix=OTEL_EXPORTER_OTLP_TRACES_"`
}

// OTLPConfig says where spans are sent to, and how.
type OTLPConfig struct {
	Endpoint    string        `env:"ENDPOINT" max:"2048" doc:"URL of an OTLP/HTTP receiver such as http://127.0.0.1:4318; the one for traces is taken as it is, /v1/traces is appended to the other."`
	Protocol    string        `env:"PROTOCOL" oneof:"http/json|http/protobuf" doc:"Spans are sent as JSON, which receivers of http/protobuf take as well. gRPC is not spoken."`
	Headers     config.Secret `env:"HEADERS" doc:"Headers of each request: name=value,name=value; values may be percent-encoded."`
	Timeout     int           `env:"TIMEOUT" min:"1" max:"600000" doc:"How many milliseconds sending a batch of spans may take, its repetitions included; 10000 if it is not set."`
	Compression string        `env:"COMPRESSION" oneof:"none|gzip" doc:"How requests are compressed; not at all if it is not set."`
}

// defaultExportTimeout is the default of TIMEOUT.
const defaultExportTimeout = 10 * time.Second

// on tells whether spans are made.
func (c *TracingConfig) on() bool {
	return !c.Disabled && c.Exporter != "none" && cmp.Or(c.Traces.Endpoint, c.OTLP.Endpoint) != ""
}

// Validate reports endpoints and headers that cannot be used.
func (c *TracingConfig) Validate() error {
	if !c.on() {
		return nil
	}
	if _, err := c.url(); err != nil {
		return err
	}
	_, err := c.headers()
	return err
}

// url returns where spans are sent to.
func (c *TracingConfig) url() (string, error) {
	variable, endpoint := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", c.Traces.Endpoint
	if endpoint == "" {
		variable, endpoint = "OTEL_EXPORTER_OTLP_ENDPOINT", c.OTLP.Endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", config.Problem{Variable: variable, What: "must be a URL such as http://127.0.0.1:4318"}
	}
	if c.Traces.Endpoint == "" {
		u = u.JoinPath("v1", "traces")
	}
	return u.String(), nil
}

// headers returns the headers of each request.
func (c *TracingConfig) headers() (map[string]string, error) {
	variable, list := "OTEL_EXPORTER_OTLP_TRACES_HEADERS", c.Traces.Headers
	if list.IsZero() {
		variable, list = "OTEL_EXPORTER_OTLP_HEADERS", c.OTLP.Headers
	}
	headers := map[string]string{}
	for i, pair := range strings.Split(list.Reveal(), ",") {
		if strings.TrimSpace(pair) == "" {
			continue
		}
		name, value, found := strings.Cut(pair, "=")
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if name = strings.TrimSpace(name); err != nil || !found || !isHeader(name, value) {
			return nil, config.Problem{Variable: variable, What: fmt.Sprintf("must be name=value,name=value: pair %d is not", i+1)}
		}
		headers[name] = value
	}
	return headers, nil
}

// isHeader tells whether HTTP can carry a header.
func isHeader(name, value string) bool {
	const separators = "()<>@,;:\\\"/[]?={}"
	odd := func(r rune) bool { return r <= ' ' || r >= 0x7f || strings.ContainsRune(separators, r) }
	return name != "" && !strings.ContainsFunc(name, odd) && !strings.ContainsAny(value, "\r\n\x00")
}

func (c *TracingConfig) timeout() time.Duration {
	if ms := cmp.Or(c.Traces.Timeout, c.OTLP.Timeout); ms > 0 {
		return time.Duration(ms) * time.Millisecond
	}
	return defaultExportTimeout
}

func (c *TracingConfig) gzip() bool {
	return cmp.Or(c.Traces.Compression, c.OTLP.Compression) == "gzip"
}
