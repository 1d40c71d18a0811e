package stack

import (
	"bytes"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// IsMetrics tells whether a line that a function wrote holds metrics in CloudWatch's embedded format
// (https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html).
func IsMetrics(line []byte) bool {
	if !bytes.Contains(line, []byte(`"_aws":`)) {
		return false
	}
	var members struct {
		Metadata jsontext.Value `json:"_aws"` //nolint:tagliatelle // CloudWatch's name
	}
	return json.Unmarshal(line, &members, jsontext.AllowInvalidUTF8(true)) == nil && members.Metadata.Kind() == '{'
}
