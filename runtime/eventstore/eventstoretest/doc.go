// Package eventstoretest is the suite that an event store passes, whatever database is behind it, and the two kinds of stores
// as tests of other packages need them:
//
//	var server postgres.Shared
//	var kinds = []eventstoretest.Kind{eventstoretest.SQLite(), eventstoretest.Postgres(server.Database)}
//
// Only tests may import it.
package eventstoretest
