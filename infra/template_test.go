package infra_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/millrace/millrace/infra"
	"github.com/millrace/millrace/localdev/catalog"
	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/config"
	"github.com/millrace/millrace/runtime/function"
	"github.com/millrace/millrace/runtime/pipeline"
)

// What neither the linters of CloudFormation nor the generator's own test can know of template.yaml and msk.yaml: whether
// they fit the functions. These tests look at the files alone, however they came to be.

// deployed is a function, and the properties that template.yaml gives it.
type deployed struct {
	spec       function.Spec
	id         string
	properties object
}

// onLambda finds the function of each Spec by its CodeUri. On Lambda a function is in the group of its own name.
func onLambda(t *testing.T) (template object, functions []deployed) {
	t.Helper()
	template = readTemplate(t, "../template.yaml")
	byCode := map[any]deployed{}
	for id, properties := range resources(t, template, "AWS::Serverless::Function") {
		code := at(t, properties, "CodeUri")
		if other, twice := byCode[code]; twice {
			t.Errorf("%s and %s have CodeUri %v: sam would build one binary for both", id, other.id, code)
		}
		byCode[code] = deployed{id: id, properties: properties}
	}
	for _, spec := range catalog.Functions() {
		spec, err := spec.InGroup(spec.Name).Complete()
		if err != nil {
			t.Fatal(err)
		}
		code := "functions/" + spec.Name + "/bootstrap"
		f, ok := byCode[code]
		if !ok {
			t.Errorf("template.yaml has no function with CodeUri %s: run make generate", code)
			continue
		}
		delete(byCode, code)
		if _, err := os.Stat(filepath.Join("..", code, "main.go")); err != nil {
			t.Errorf("%s: %v", f.id, err)
		}
		functions = append(functions, deployed{spec, f.id, f.properties})
	}
	for code, f := range byCode {
		t.Errorf("%s with CodeUri %v is not in the catalogue: add it to localdev/catalog or run make generate", f.id, code)
	}
	return template, functions
}

func TestEveryFunctionIsDeployedOnce(t *testing.T) {
	t.Parallel()
	if _, functions := onLambda(t); len(functions) == 0 {
		t.Error("there are none")
	}
}

// environment is enough to make every handler.
func environment(name string) (string, bool) {
	if name == "NOTIFY_WEBHOOK_SECRET" {
		return "whsec_" + strings.Repeat("A", 32), true
	}
	return "", false
}

// noValue is what a property has where it is left out.
var noValue = object{"Ref": "AWS::NoValue"}

// statements returns the statements that a policy of the function has where a condition holds, and only then.
func (f *deployed) statements(t *testing.T, condition string) []any {
	t.Helper()
	for _, policy := range at(t, f.properties, "Policies").([]any) {
		branches := at(t, policy, "Fn::If").([]any)
		if diff := cmp.Diff(any(noValue), branches[2]); diff != "" {
			t.Errorf("%s: a policy grants something whatever its condition: %s", f.id, diff)
		}
		if branches[0] == condition {
			return at(t, branches[1], "Statement").([]any)
		}
	}
	t.Fatalf("%s has no policy for %s", f.id, condition)
	return nil
}

// list returns a list or what stands in place of one.
func list(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func TestFunctionsMayDoWhatTheirSpecsSay(t *testing.T) {
	t.Parallel()
	_, functions := onLambda(t)
	for _, f := range functions {
		made, err := pipeline.Make(f.spec, environment)
		if err != nil {
			t.Fatal(err)
		}
		line, err := pipeline.New(f.spec.Group, []pipeline.Function{made}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := map[string][]string{
			"kafka-cluster:Connect":                             {"cluster/${Cluster}"},
			"kafka-cluster:DescribeClusterDynamicConfiguration": {"cluster/${Cluster}"},
			"kafka-cluster:WriteDataIdempotently":               {"cluster/${Cluster}"},
			"kafka-cluster:AlterGroup":                          {"group/${Cluster}/" + line.Group()},
			"kafka-cluster:DescribeGroup":                       {"group/${Cluster}/" + line.Group()},
		}
		for _, topic := range line.Topics() {
			want["kafka-cluster:ReadData"] = append(want["kafka-cluster:ReadData"], "topic/${Cluster}/"+topic)
		}
		for _, topic := range slices.Sorted(slices.Values(append(line.Outputs(), "dead-letter-queue"))) {
			want["kafka-cluster:WriteData"] = append(want["kafka-cluster:WriteData"], "topic/${Cluster}/"+topic)
		}
		described := slices.Concat(want["kafka-cluster:ReadData"], want["kafka-cluster:WriteData"])
		slices.Sort(described)
		want["kafka-cluster:DescribeTopic"] = slices.Compact(described)
		if diff := cmp.Diff(want, f.granted(t)); diff != "" {
			t.Errorf("%s may do something else than its Spec says (run make generate): -want +got\n%s", f.id, diff)
		}
	}
}

// granted returns what the function may do on the cluster with IAM: sorted resources by their actions.
func (f *deployed) granted(t *testing.T) map[string][]string {
	t.Helper()
	const prefix = "arn:${AWS::Partition}:kafka:${AWS::Region}:${AWS::AccountId}:"
	granted := map[string][]string{}
	for _, s := range f.statements(t, "UsesIam") {
		for _, action := range list(at(t, s, "Action")) {
			for _, resource := range list(at(t, s, "Resource")) {
				name, ok := strings.CutPrefix(at(t, resource, "Fn::Sub").(string), prefix)
				if !ok {
					t.Errorf("%s: resource %v does not begin with %s", f.id, resource, prefix)
				}
				granted[action.(string)] = append(granted[action.(string)], name)
			}
		}
	}
	for action, names := range granted {
		slices.Sort(names)
		granted[action] = slices.Compact(names)
	}
	return granted
}

func TestSecretsAreReadWithScramOnly(t *testing.T) {
	t.Parallel()
	_, functions := onLambda(t)
	want := []any{
		object{"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": object{"Ref": "ScramSecretArn"}},
		object{"Effect": "Allow", "Action": "kms:Decrypt", "Resource": object{"Ref": "ScramKeyArn"}},
	}
	for _, f := range functions {
		if diff := cmp.Diff(want, f.statements(t, "UsesScram")); diff != "" {
			t.Errorf("%s: %s", f.id, diff)
		}
		if policies := at(t, f.properties, "Policies").([]any); len(policies) != 2 {
			t.Errorf("%s has %d policies, want one for IAM and one for SCRAM", f.id, len(policies))
		}
	}
}

func TestNothingIsGrantedOnEverything(t *testing.T) {
	t.Parallel()
	// The policy of a key names its account, which in the words of AWS is everything of that key.
	allowed := []string{"../infra/msk.yaml: /Resources/ScramKey/Properties/KeyPolicy/Statement/0/Action: kms:*",
		"../infra/msk.yaml: /Resources/ScramKey/Properties/KeyPolicy/Statement/0/Resource: *"}
	for _, path := range []string{"../template.yaml", "../infra/msk.yaml"} {
		for _, found := range wildcards(readTemplate(t, path)["Resources"], "/Resources") {
			if found = path + ": " + found; !slices.Contains(allowed, found) {
				t.Errorf("%s: name what is meant", found)
			}
		}
	}
}

// wildcards returns the places where text has an asterisk.
func wildcards(v any, path string) []string {
	var found []string
	switch v := v.(type) {
	case object:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			found = append(found, wildcards(v[name], path+"/"+name)...)
		}
	case []any:
		for i, item := range v {
			found = append(found, wildcards(item, fmt.Sprintf("%s/%d", path, i))...)
		}
	case string:
		if strings.Contains(v, "*") {
			found = append(found, path+": "+v)
		}
	}
	return found
}

func TestAllAttemptsFitIntoAnInvocation(t *testing.T) {
	t.Parallel()
	_, functions := onLambda(t)
	for _, f := range functions {
		timeout, err := time.ParseDuration(at(t, f.properties, "Timeout").(string) + "s")
		if err != nil {
			t.Fatal(err)
		}
		needed := time.Duration(f.spec.Attempts) * f.spec.Timeout
		for n := 1; n < f.spec.Attempts; n++ {
			needed += min(200*time.Millisecond<<(n-1), 30*time.Second) // RETRY_FIRST_DELAY and RETRY_MAX_DELAY
		}
		if needed += 5 * time.Second; timeout < needed {
			t.Errorf("%s: Timeout is %s, %d attempts of %s need %s: run make generate", f.id, timeout, f.spec.Attempts, f.spec.Timeout, needed)
		}
		if timeout > 14*time.Minute {
			t.Errorf("%s: Timeout is %s, behind Kafka Lambda allows 14 minutes", f.id, timeout)
		}
	}
}

func TestEventSourceMappings(t *testing.T) {
	t.Parallel()
	_, functions := onLambda(t)
	groups := map[any]string{}
	for _, f := range functions {
		events := at(t, f.properties, "Events").(object)
		if len(events) != 1 {
			t.Errorf("%s has %d events, want 1", f.id, len(events))
		}
		mapping := at(t, events, "Records", "Properties").(object)
		if diff := cmp.Diff([]any{f.spec.Topic}, mapping["Topics"]); diff != "" {
			t.Errorf("%s does not read the topic of its Spec: %s", f.id, diff)
		}
		group := mapping["ConsumerGroupId"]
		if group != f.spec.Group {
			t.Errorf("%s: consumer group %v, its program runs as %s", f.id, group, f.spec.Group)
		}
		if other, taken := groups[group]; taken {
			t.Errorf("%s and %s share consumer group %v, which AWS refuses", f.id, other, group)
		}
		groups[group] = f.id
		if diff := cmp.Diff([]any{"ReportBatchItemFailures"}, mapping["FunctionResponseTypes"]); diff != "" {
			t.Errorf("%s: its answer would be ignored, and records lost: %s", f.id, diff)
		}
		if mapping["ProvisionedPollerConfig"] == nil {
			t.Errorf("%s: without ProvisionedPollerConfig its answer and the controls of retries are ignored", f.id)
		}
		if mapping["DestinationConfig"] != nil {
			t.Errorf("%s: with a destination for failures AWS ends endless retries after ten", f.id)
		}
	}
}

// variables returns what template.yaml sets for the function.
func (f *deployed) variables(t *testing.T, template object) []string {
	t.Helper()
	names := slices.Collect(maps.Keys(at(t, template, "Globals", "Function", "Environment", "Variables").(object)))
	if f.properties["Environment"] != nil {
		names = slices.AppendSeq(names, maps.Keys(at(t, f.properties, "Environment", "Variables").(object)))
	}
	slices.Sort(names)
	return names
}

func TestVariablesAreKnownAndComplete(t *testing.T) {
	t.Parallel()
	template, functions := onLambda(t)
	for _, f := range functions {
		var help bytes.Buffer
		boot.Command(t.Context(), []string{"--help"}, environment, &help, &help, []function.Spec{f.spec})
		set := f.variables(t, template)
		for _, name := range set {
			if !slices.Contains(strings.Fields(help.String()), name) {
				t.Errorf("%s: %s is set, but bootstrap --help does not know it", f.id, name)
			}
		}
		if f.spec.Settings == nil {
			continue
		}
		for _, v := range config.Describe(f.spec.Settings) {
			if v.Required && !slices.Contains(set, v.Name) {
				t.Errorf("%s: %s is required, but not set: add it to infra/internal/generate/template.yaml.tmpl", f.id, v.Name)
			}
		}
	}
}

func TestTheClusterHasTheTopics(t *testing.T) {
	t.Parallel()
	type topic struct {
		Name, Partitions string
		Configs          map[string]string
	}
	var want, got []topic
	for _, listed := range infra.Topics() {
		want = append(want, topic{listed.Name, fmt.Sprint(listed.Partitions), listed.Configs()})
	}
	for id, properties := range resources(t, readTemplate(t, "msk.yaml"), "AWS::MSK::Topic") {
		configs := map[string]string{}
		if err := json.Unmarshal([]byte(at(t, properties, "Configs", "Fn::Base64").(string)), &configs); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		got = append(got, topic{properties["TopicName"].(string), properties["PartitionCount"].(string), configs})
	}
	byName := func(a, b topic) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(want, byName)
	slices.SortFunc(got, byName)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("infra/msk.yaml has other topics than infra/topics.yaml (run make generate): -want +got\n%s", diff)
	}
}
