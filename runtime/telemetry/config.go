package telemetry

import (
	"errors"
	"net"
	"strconv"
	"strings"

	"github.com/millrace/millrace/runtime/config"
)

// Config is what the environment says about telemetry. Fill it with [config.Load].
type Config struct {
	LogLevel       string `env:"LOG_LEVEL, default=info" oneof:"debug|info|warn|error" doc:"Lines below this level are not written."`
	LogFormat      string `env:"LOG_FORMAT, default=json" oneof:"json|text" doc:"json for machines, text for a terminal."`
	HTTPAddr       string `env:"HTTP_ADDR, default=127.0.0.1:9464" doc:"Where /healthz, /readyz and /metrics are served, host:port; empty or off for nowhere."`
	ServiceName    string `env:"SERVICE_NAME" max:"128" doc:"Name of the service in log lines, dead letters, metrics and spans."`
	ServiceVersion string `env:"SERVICE_VERSION" max:"128" doc:"Version of the service in log lines, dead letters and spans."`
	// MetricsNamespace is for EMF.
	MetricsNamespace string `env:"METRICS_NAMESPACE, default=millrace" min:"1" max:"255" doc:"Namespace of the metrics in CloudWatch, on Lambda."`

	Tracing TracingConfig
}

// Validate reports an HTTP_ADDR that is no address, and a METRICS_NAMESPACE that CloudWatch does not take.
func (c *Config) Validate() error {
	return errors.Join(c.validateAddr(), c.validateNamespace())
}

func (c *Config) validateNamespace() error {
	const allowed = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._/#:-"
	odd := func(r rune) bool { return !strings.ContainsRune(allowed, r) }
	if strings.ContainsFunc(c.MetricsNamespace, odd) || strings.HasPrefix(c.MetricsNamespace, "AWS/") {
		return config.Problem{Variable: "METRICS_NAMESPACE", What: "must consist of letters, digits and . - _ / # :, and not begin with AWS/"}
	}
	return nil
}

func (c *Config) validateAddr() error {
	if !listens(c.HTTPAddr) {
		return nil
	}
	_, port, err := net.SplitHostPort(c.HTTPAddr)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return config.Problem{Variable: "HTTP_ADDR", What: "must be host:port such as 127.0.0.1:9464, or off"}
	}
	return nil
}

// listens reports whether addr asks for a listener at all.
func listens(addr string) bool { return addr != "" && addr != "off" }
