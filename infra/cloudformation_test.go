package infra_test

import (
	"os"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"
)

// object is a mapping of a template. Short forms are written out: !Ref x is {Ref: x}, !Sub x is {Fn::Sub: x}.
type object = map[string]any

func readTemplate(t *testing.T, path string) object {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var node yaml.Node
	if err := yaml.Load(text, &node); err != nil {
		t.Fatal(err)
	}
	return value(t, node.Content[0]).(object)
}

func value(t *testing.T, n *yaml.Node) any {
	t.Helper()
	var v any
	switch n.Kind {
	case yaml.MappingNode:
		o := object{}
		for i := 0; i < len(n.Content); i += 2 {
			o[n.Content[i].Value] = value(t, n.Content[i+1])
		}
		v = o
	case yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = value(t, item)
		}
		v = list
	default:
		v = n.Value
	}
	name, short := strings.CutPrefix(n.Tag, "!")
	switch {
	case !short || strings.HasPrefix(name, "!"):
		return v
	case name == "Ref":
		return object{"Ref": v}
	}
	return object{"Fn::" + name: v}
}

// at follows a path of names and indexes.
func at(t *testing.T, v any, path ...any) any {
	t.Helper()
	for i, step := range path {
		switch step := step.(type) {
		case string:
			v = v.(object)[step]
		case int:
			v = v.([]any)[step]
		}
		if v == nil {
			t.Fatalf("there is no %v", path[:i+1])
		}
	}
	return v
}

// resources returns the properties of the resources of a type by their logical ids.
func resources(t *testing.T, template object, kind string) map[string]object {
	t.Helper()
	found := map[string]object{}
	for id, resource := range at(t, template, "Resources").(object) {
		if resource.(object)["Type"] == kind {
			found[id] = at(t, resource, "Properties").(object)
		}
	}
	return found
}
