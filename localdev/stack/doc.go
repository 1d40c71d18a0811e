// Package stack runs the functions of a SAM template on this machine: it builds their programs, keeps processes of them
// behind Lambda's Runtime API, and polls Kafka and calls them as the template's event source mappings and schedules do.
//
// It imports localdev/cluster, localdev/text, localdev/trigger and what belongs to it, runtime/{function,kafkaclient,
// msktrigger,pipeline}, and runtime/boot for the names of the variables that functions read.
package stack
