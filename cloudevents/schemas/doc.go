// Package schemas is the catalogue of event types: their names, their topics, and the JSON Schemas (draft 2020-12) of
// their data, which it checks data against.
//
// The documents <aggregate>.<fact>.v<n>.json are generated from the payload types next door and embedded. They name what
// must be there and what form it has; members that they do not name are allowed everywhere, so that a producer may be
// ahead of its readers. A member that is not required may be null. Beyond the schema, data must be what every reader
// understands alike: UTF-8, no name twice in an object, no name that differs from a known one only in case, numbers,
// nesting and size within bounds.
//
// It imports the payload packages and the JSON library; nothing of the runtime. Nothing is read from the
// network or from disk.
package schemas

//go:generate go run ./internal/generate
