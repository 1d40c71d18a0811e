package template_test

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/localdev/trigger/template"
)

const repository = "../../.."

func readRepository(t *testing.T, parameters map[string]string) *template.Template {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(repository, "template.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return parse(t, string(data), &template.Options{Parameters: parameters, Now: now})
}

// Each function in this repository's template is one that AWS would take, built from a folder that is there, and reads a
// topic of infra/topics.yaml.
func TestRepository(t *testing.T) {
	t.Parallel()
	parsed := readRepository(t, nil)
	if len(parsed.Functions) == 0 || len(parsed.Warnings) > 0 {
		t.Errorf("there are %d functions and the warnings %q", len(parsed.Functions), parsed.Warnings)
	}
	for _, f := range parsed.Functions {
		if _, err := os.Stat(filepath.Join(repository, f.CodeURI, "main.go")); err != nil {
			t.Errorf("%s: %v", f.LogicalID, err)
		}
		mappings := 1
		if slices.Contains(services(), path.Base(path.Dir(f.CodeURI))) {
			mappings = 0
		}
		if f.Runtime != "provided.al2023" || f.Architecture != "arm64" || f.BuildMethod != "go1.x" || len(f.Mappings) != mappings {
			t.Errorf("%s is %+v", f.LogicalID, f)
			continue
		}
		if mappings == 0 {
			continue
		}
		m := f.Mappings[0]
		if m.Group != path.Base(path.Dir(f.CodeURI)) || m.Source != template.MSK || !m.Enabled || !m.PartialResponses || m.MaxAttempts != -1 {
			t.Errorf("%s has the mapping %+v", f.LogicalID, m)
		}
		if !slices.ContainsFunc(infra.Topics(), func(t infra.Topic) bool { return t.Name == m.Topic }) {
			t.Errorf("%s reads %s, which infra/topics.yaml does not have", f.LogicalID, m.Topic)
		}
	}
}

// services are the programs that answer HTTP requests, and read no topic.
func services() (names []string) {
	for _, service := range catalog.Services() {
		names = append(names, service.Name)
	}
	return names
}

func TestRepositoryWithParameters(t *testing.T) {
	t.Parallel()
	parsed := readRepository(t, map[string]string{
		"Cluster": "mill/1", "Authentication": "SCRAM", "ScramSecretArn": "arn:aws:secretsmanager:eu-west-1:1:secret:s",
		"ScramKeyArn": "arn:aws:kms:eu-west-1:1:key/k", "StartingPosition": "AT_TIMESTAMP", "StartingTimestamp": "1764000000",
		"BatchingWindow": "5", "BatchSize": "500", "Architecture": "x86_64", "MaximumRetries": "3", "MaximumRecordAge": "3600",
		"SplitFailedBatches": "false",
	})
	f, ok := parsed.Function("OrderCreatedFunction")
	if !ok || f.Architecture != "x86_64" || len(f.Mappings) != 1 {
		t.Fatalf("the function is %+v", f)
	}
	m := f.Mappings[0]
	if m.Stream != "arn:aws:kafka:us-east-1:123456789012:cluster/mill/1" || m.Start != template.AtTimestamp || m.StartAt.Unix() != 1764000000 {
		t.Errorf("the mapping reads %+v", m)
	}
	if m.BatchSize != 500 || m.Window != 5*time.Second || m.MaxAttempts != 3 || m.MaxAge != time.Hour || m.Bisect {
		t.Errorf("the mapping batches %+v", m)
	}
	for _, w := range parsed.Warnings {
		if !strings.Contains(w, ".Environment.Variables.KAFKA_SASL_") {
			t.Errorf("the warning %q is not about a secret", w)
		}
	}
}
