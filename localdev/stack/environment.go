package stack

import (
	"maps"
	"slices"
	"strings"

	"github.com/millrace/millrace/runtime/boot"
	"github.com/millrace/millrace/runtime/function"
)

// clusterVariables are the beginnings of the variables that say how the template's cluster is reached. Here is another one.
var clusterVariables = []string{"KAFKA_BROKERS", "KAFKA_TLS", "KAFKA_SASL"}

// Variables are the names of what functions made of these Specs read from their environment.
func Variables(specs []function.Spec) []string {
	var names []string
	for _, v := range boot.Variables(specs) {
		names = append(names, v.Name)
	}
	return names
}

// environment returns the variables of a function: those of the template that are known and not about its cluster, and on
// top what lookup has of them and of the others named.
func environment(f *Function, lookup function.Lookup, names []string) map[string]string {
	variables := maps.Clone(f.Environment)
	if variables == nil {
		variables = map[string]string{}
	}
	maps.DeleteFunc(variables, func(name, value string) bool { return isCluster(name) || isUnknown(value) })
	for _, name := range slices.Concat(slices.Collect(maps.Keys(f.Environment)), names) {
		if value, ok := lookup(name); ok && value != "" {
			variables[name] = value
		}
	}
	return variables
}

func isCluster(name string) bool {
	return slices.ContainsFunc(clusterVariables, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// isUnknown tells whether a value stands for one that only AWS has.
func isUnknown(value string) bool {
	return strings.HasPrefix(value, "<") && strings.HasSuffix(value, ">")
}
