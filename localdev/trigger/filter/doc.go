// Package filter decides, as AWS Lambda does, which Kafka records the patterns of an event source mapping let through.
//
// A pattern is a JSON object that has the shape of what it selects: fields in objects, and at the end of each path a list
// of conditions, of which one must hold.
//
//	{"value": {"type": ["OrderCreated"], "data": {"total": [{"numeric": [">", 10, "<=", 20]}]}}}
//
// Conditions are null, true, false, a string ("" is empty), a number (compared by its text: 300 is not 300.0), and
// {"prefix": s}, {"suffix": s}, {"equals-ignore-case": s}, {"prefix": {"equals-ignore-case": s}} and so for suffix,
// {"numeric": [">", 10, "<=", 20]} with = < <= > >=, {"exists": true}, {"anything-but": x} where x is a string, a number, a
// list of one kind of them, or prefix, suffix or equals-ignore-case of a string or a list of strings. "$or" takes a list
// of objects of which one must match.
//
// The rules of EventBridge's matcher hold where Lambda's documentation is silent:
//   - A list in the record stands for each of its elements: one of them must match. Two fields of a pattern never match in
//     different elements of one list.
//   - exists looks at leaves: an object or an empty list does not exist.
//   - A field that the pattern names must be there, unless it may be absent ({"exists": false}).
//
// Of a Kafka record only the value can be tested. A value that is a JSON object or list is JSON, anything else is a plain
// string. A pattern of fields (JSON) is not applied to a plain string, nor a list of conditions (plain string) to JSON:
// such a record is delivered, and [Match] tells them apart. Bytes that are not UTF-8 are read as U+FFFD.
//
// Patterns that AWS takes although they cannot mean what they say are errors here: a key that stands twice, and a field
// that is to be a leaf and an object at once.
//
// It imports no other package of millrace.
package filter
