package stack_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/millrace/millrace/localdev/stack"
)

func TestMain(m *testing.M) {
	// sarama's metrics keep one goroutine for the life of the process.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/rcrowley/go-metrics.(*meterArbiter).tick"))
}

const shop = `
Transform: AWS::Serverless-2016-10-31
Parameters:
  Topic: {Type: String, Default: orders}
Globals:
  Function: {Runtime: provided.al2023, Handler: bootstrap}
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: shop-orders
      CodeUri: functions/orders/bootstrap
      Events: {Records: &source {Type: MSK, Properties: {Stream: 'arn:aws:kafka:us-east-1:1:cluster/mill/1', Topics: [!Ref Topic], StartingPosition: LATEST, ConsumerGroupId: orders}}}
  Here:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: .}
  OneTwin:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: a/twin/}
  OtherTwin:
    Type: AWS::Serverless::Function
    Properties: {CodeUri: b/twin}
  Asleep:
    Type: AWS::Serverless::Function
    Properties:
      CodeUri: functions/asleep
      Events: {Records: {Type: MSK, Properties: {Stream: 'arn:aws:kafka:us-east-1:1:cluster/mill/1', Topics: [users], StartingPosition: LATEST, Enabled: false, ConsumerGroupId: asleep}}}
`

// write writes a template into a folder.
func write(t *testing.T, dir, text string) string {
	t.Helper()
	path := filepath.Join(dir, "template.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t *testing.T, parameters map[string]string) *stack.File {
	t.Helper()
	file, err := stack.Load(write(t, t.TempDir(), shop), parameters)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

func labels(functions []stack.Function) (list []string) {
	for _, f := range functions {
		list = append(list, f.Label)
	}
	return list
}

func TestFunctionsAreCalledAfterTheirFolders(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff([]string{"orders", "Here", "OneTwin", "OtherTwin", "asleep"}, labels(load(t, nil).Functions)); diff != "" {
		t.Error(diff)
	}
}

func TestParametersReachTheTemplate(t *testing.T) {
	t.Parallel()
	file := load(t, map[string]string{"Topic": "other"})
	if topic := file.Functions[0].Mappings[0].Topic; topic != "other" {
		t.Errorf("the topic is %s", topic)
	}
}

func TestSelect(t *testing.T) {
	t.Parallel()
	file := load(t, nil)
	for name, test := range map[string]struct{ names, want []string }{
		"nothing named":      {nil, []string{"orders"}},
		"a label":            {[]string{"asleep"}, []string{"asleep"}},
		"a logical id":       {[]string{"OneTwin"}, []string{"OneTwin"}},
		"a name":             {[]string{"shop-orders"}, []string{"orders"}},
		"one by three names": {[]string{"Here", "orders", "Orders", "shop-orders"}, []string{"Here", "orders"}},
	} {
		got, err := file.Select(test.names...)
		if err != nil || !slices.Equal(labels(got), test.want) {
			t.Errorf("%s: Select(%q) = %q, %v, want %q", name, test.names, labels(got), err, test.want)
		}
	}
}

func TestSelectTellsTheClosest(t *testing.T) {
	t.Parallel()
	_, err := load(t, nil).Select("orders", "ordes")
	unknown, ok := errors.AsType[*stack.UnknownFunctionError](err)
	if !ok || unknown.Name != "ordes" || len(unknown.Closest) != 3 || !strings.EqualFold(unknown.Closest[0], "orders") {
		t.Errorf("the error is %#v", err)
	}
}

func TestFindLooksAbove(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := write(t, dir, shop)
	below := filepath.Join(dir, "a", "b")
	// A folder of that name is no template.
	if err := os.MkdirAll(filepath.Join(below, "template.yaml"), 0o750); err != nil {
		t.Fatal(err)
	}
	if got, err := stack.Find(below); err != nil || got != want {
		t.Errorf("Find() = %s, %v, want %s", got, err, want)
	}
}

func TestFindFindsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := stack.Find(dir)
	if none, ok := errors.AsType[*stack.NoTemplateError](err); !ok || none.Dir != dir {
		t.Errorf("the error is %v", err)
	}
}

func TestLoadSaysWhichFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	none := filepath.Join(dir, "none.yaml")
	_, err := stack.Load(none, nil)
	if got, ok := errors.AsType[*stack.TemplateError](err); !ok || got.Path != none || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error is %v", err)
	}
	_, err = stack.Load(write(t, dir, shop), map[string]string{"Color": "red"})
	if err == nil || !strings.Contains(err.Error(), "template.yaml: line ") {
		t.Errorf("the error is %v", err)
	}
}
