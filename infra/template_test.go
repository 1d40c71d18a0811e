package infra_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
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

// deployed is a function or a service, and the properties that template.yaml gives it.
type deployed struct {
	// spec is that of a function, service that of a service: the other is zero.
	spec       function.Spec
	service    function.Service
	id         string
	properties object
}

func (f *deployed) name() string { return f.spec.Name + f.service.Name }

// onLambda finds the functions of the template.
func onLambda(t *testing.T) (template object, functions []deployed) {
	t.Helper()
	template, all := programs(t)
	for _, f := range all {
		if f.service.Name == "" {
			functions = append(functions, f)
		}
	}
	return template, functions
}

// servicesOnLambda finds the services of the template.
func servicesOnLambda(t *testing.T) (template object, services []deployed) {
	t.Helper()
	template, all := programs(t)
	for _, f := range all {
		if f.service.Name != "" {
			services = append(services, f)
		}
	}
	return template, services
}

// programs finds the program of each Spec and Service by its CodeUri. On Lambda a function is in the group of its own name.
func programs(t *testing.T) (template object, all []deployed) {
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
	add := func(d deployed) {
		code := "functions/" + d.name() + "/bootstrap"
		f, ok := byCode[code]
		if !ok {
			t.Errorf("template.yaml has no function with CodeUri %s: run make generate", code)
			return
		}
		delete(byCode, code)
		if _, err := os.Stat(filepath.Join("..", code, "main.go")); err != nil {
			t.Errorf("%s: %v", f.id, err)
		}
		d.id, d.properties = f.id, f.properties
		all = append(all, d)
	}
	for _, spec := range catalog.Functions() {
		spec, err := spec.InGroup(spec.Name).Complete()
		if err != nil {
			t.Fatal(err)
		}
		add(deployed{spec: spec})
	}
	for _, service := range catalog.Services() {
		add(deployed{service: service})
	}
	for code, f := range byCode {
		t.Errorf("%s with CodeUri %v is not in the catalogue: add it to localdev/catalog or run make generate", f.id, code)
	}
	return template, all
}

func TestEveryFunctionIsDeployedOnce(t *testing.T) {
	t.Parallel()
	if _, functions := onLambda(t); len(functions) == 0 {
		t.Error("there are none")
	}
}

// environment is enough to make every handler.
func environment(t *testing.T) function.Lookup {
	t.Helper()
	variables := map[string]string{
		"NOTIFY_WEBHOOK_SECRET": "whsec_" + strings.Repeat("A", 32),
		"PAYMENT_PROVIDER_KEY":  "key",
		"DATABASE_URL":          filepath.Join(t.TempDir(), "test.db"),
	}
	return func(name string) (string, bool) {
		value, ok := variables[name]
		return value, ok
	}
}

// handlerOf makes the handler of a function or service, and closes it with the test.
func (f *deployed) handlerOf(t *testing.T) any {
	t.Helper()
	var handler any
	var err error
	if f.service.New != nil {
		handler, err = f.service.New(environment(t))
	} else {
		handler, err = f.spec.New(environment(t))
	}
	if err != nil {
		t.Fatalf("%s: %v", f.name(), err)
	}
	if closer, ok := handler.(io.Closer); ok {
		t.Cleanup(func() {
			if err := closer.Close(); err != nil {
				t.Errorf("%s: %v", f.name(), err)
			}
		})
	}
	return handler
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
		made := pipeline.Function{Spec: f.spec, Handler: f.handlerOf(t).(function.Handler)}
		line, err := pipeline.New(f.spec.Group, []pipeline.Function{made}, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		want := rights(line.Topics(), append(line.Outputs(), "dead-letter-queue"))
		for _, action := range []string{"kafka-cluster:AlterGroup", "kafka-cluster:DescribeGroup"} {
			want[action] = []string{"group/${Cluster}/" + line.Group()}
		}
		if diff := cmp.Diff(want, f.granted(t)); diff != "" {
			t.Errorf("%s may do something else than its Spec says (run make generate): -want +got\n%s", f.id, diff)
		}
	}
}

// rights are what is needed to read and write topics: resources by their actions.
func rights(read, written []string) map[string][]string {
	all := map[string][]string{
		"kafka-cluster:Connect":                             {"cluster/${Cluster}"},
		"kafka-cluster:DescribeClusterDynamicConfiguration": {"cluster/${Cluster}"},
		"kafka-cluster:WriteDataIdempotently":               {"cluster/${Cluster}"},
	}
	for action, topics := range map[string][]string{
		"kafka-cluster:ReadData": read, "kafka-cluster:WriteData": written, "kafka-cluster:DescribeTopic": slices.Concat(read, written),
	} {
		for _, topic := range slices.Compact(slices.Sorted(slices.Values(topics))) {
			all[action] = append(all[action], "topic/${Cluster}/"+topic)
		}
	}
	return all
}

// choresOf returns the chores of a function or service.
func (f *deployed) choresOf(t *testing.T) []function.Chore {
	t.Helper()
	worker, ok := f.handlerOf(t).(function.Worker)
	if !ok {
		return nil
	}
	return worker.Chores()
}

func TestServicesMayDoWhatTheirChoresNeed(t *testing.T) {
	t.Parallel()
	_, services := servicesOnLambda(t)
	for _, f := range services {
		var topics []string
		for _, c := range f.choresOf(t) {
			topics = append(topics, c.Topics...)
		}
		if diff := cmp.Diff(rights(nil, topics), f.granted(t)); diff != "" {
			t.Errorf("%s may do something else than its chores say (run make generate): -want +got\n%s", f.id, diff)
		}
	}
}

// What a chore publishes to, its program may write to: its Spec must say so.
func TestFunctionsMayDoWhatTheirChoresNeed(t *testing.T) {
	t.Parallel()
	_, functions := onLambda(t)
	for _, f := range functions {
		for _, c := range f.choresOf(t) {
			for _, topic := range c.Topics {
				if !slices.Contains(f.granted(t)["kafka-cluster:WriteData"], "topic/${Cluster}/"+topic) {
					t.Errorf("%s: its chore %s publishes to %s, which no type of its Spec.Emits has", f.name(), c.Name, topic)
				}
			}
		}
	}
}

// A process of Lambda does nothing by itself.
func TestWhatHasChoresHasASchedule(t *testing.T) {
	t.Parallel()
	_, all := programs(t)
	for _, f := range all {
		schedule := "none"
		if events, ok := f.properties["Events"].(object); ok && events["Chores"] != nil {
			schedule = at(t, events, "Chores", "Type").(string) + " " + at(t, events, "Chores", "Properties", "Schedule").(string)
		}
		want := "none"
		if len(f.choresOf(t)) > 0 {
			want = "Schedule rate(1 minute)"
		}
		if schedule != want {
			t.Errorf("%s has the schedule %s, want %s: what has chores must have a database in localdev/catalog", f.name(), schedule, want)
		}
	}
}

func TestServicesAnswerToWhoSigns(t *testing.T) {
	t.Parallel()
	template, services := servicesOnLambda(t)
	for _, f := range services {
		if diff := cmp.Diff(object{"AuthType": "AWS_IAM", "InvokeMode": "BUFFERED"}, f.properties["FunctionUrlConfig"]); diff != "" {
			t.Errorf("%s: %s", f.id, diff)
		}
		var told bool
		for _, output := range at(t, template, "Outputs").(object) {
			told = told || cmp.Equal(object{"Fn::GetAtt": f.id + "Url.FunctionUrl"}, at(t, output, "Value"))
		}
		if !told {
			t.Errorf("no output tells the URL of %s", f.id)
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
		if others := len(events) - 1; others > 1 || others == 1 && events["Chores"] == nil {
			t.Errorf("%s has %d events, want one, and a schedule", f.id, len(events))
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

// help is what the program says about its variables.
func (f *deployed) help(t *testing.T) string {
	t.Helper()
	var help bytes.Buffer
	args := []string{"--help"}
	if f.service.Name != "" {
		boot.ServeCommand(t.Context(), args, environment(t), &help, &help, f.service)
	} else {
		boot.Command(t.Context(), args, environment(t), &help, &help, []function.Spec{f.spec})
	}
	return help.String()
}

// A secret stands in no template: it is fetched when the stack is deployed.
func TestSecretsAreFetched(t *testing.T) {
	t.Parallel()
	template, all := programs(t)
	for _, f := range all {
		values := maps.Clone(at(t, template, "Globals", "Function", "Environment", "Variables").(object))
		if f.properties["Environment"] != nil {
			maps.Copy(values, at(t, f.properties, "Environment", "Variables").(object))
		}
		for name, value := range values {
			secret := slices.ContainsFunc([]string{"SECRET", "PASSWORD", "KEY", "DATABASE_URL", "IDEMPOTENCY_URL"}, func(part string) bool {
				return strings.Contains(name, part)
			})
			if secret && !strings.Contains(fmt.Sprint(value), "{{resolve:secretsmanager:") {
				t.Errorf("%s: %s is not from a secret: %v", f.id, name, value)
			}
		}
	}
}

func TestVariablesAreKnownAndComplete(t *testing.T) {
	t.Parallel()
	template, all := programs(t)
	for _, f := range all {
		help := f.help(t)
		set := f.variables(t, template)
		for _, name := range set {
			if !slices.Contains(strings.Fields(help), name) {
				t.Errorf("%s: %s is set, but bootstrap --help does not know it", f.id, name)
			}
		}
		settings := f.spec.Settings
		if f.service.Settings != nil {
			settings = f.service.Settings
		}
		if settings == nil {
			continue
		}
		for _, v := range config.Describe(settings) {
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
