package outbox

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/millrace/millrace/runtime/database"
)

// dialect is what databases do differently.
type dialect struct {
	statements

	// put returns the statement that puts rows.
	put func(topic string, rows []row) Statement
	// list returns numbers as one argument.
	list func(numbers []int64) any
}

// statements take their arguments in the order of their comments. Times are microseconds.
type statements struct {
	free    string // returns the shards that nobody has leased and that have something due
	lease   string // owner, how long, list of shards; returns those that were free
	renew   string // owner, how long
	release string // owner
	read    string // shard, limit; returns columns in the order of waiting
	beyond  string // shard, limit, list of lanes; returns rows of other lanes as read does
	remove  string // shard, first and last position, list of positions
	fail    string // shard, position, error, pause
	count   string // returns how many wait, how many of them failed, and the age of the oldest
	stuck   string // limit; returns position, topic, attributes, failed, error
}

const (
	// nowSQLite and nowPostgres are the time of the database, in microseconds since 1970.
	nowSQLite   = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"
	nowPostgres = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"
)

// maxCrowd is behind how many events others are looked for.
const maxCrowd = "200000"

func newDialect(kind database.Kind) *dialect {
	if kind == database.Postgres {
		list := func(n int) string { return fmt.Sprintf("= ANY ($%d::bigint[])", n) }
		return &dialect{
			statements: newStatements(nowPostgres, list, " FOR UPDATE SKIP LOCKED"),
			put:        putPostgres,
			list:       func(numbers []int64) any { return numbers },
		}
	}
	list := func(n int) string { return fmt.Sprintf("IN (SELECT value FROM json_each($%d))", n) }
	return &dialect{statements: newStatements(nowSQLite, list, ""), put: putSQLite, list: listSQLite}
}

// newStatements returns the statements for a database with the expression now. list returns the condition that a column is in the
// list that is the n-th argument. unlocked has a query lock its rows, and leave out those that others have locked.
func newStatements(now string, list func(n int) string, unlocked string) statements {
	const columns = `
SELECT o.position, o.lane, o.topic, o.attributes, o.data, o.data IS NOT NULL, o.base64, o.failed `
	// A lane rests while its first event, which failed, is not due.
	resting := `SELECT 1 FROM millrace_outbox AS first WHERE first.failed > 0 AND first.due > ` + now + ` AND first.lane = o.lane`
	return statements{
		free: `
SELECT s.shard FROM millrace_outbox_shards AS s
WHERE s.until <= ` + now + ` AND EXISTS (SELECT 1 FROM millrace_outbox AS o WHERE o.shard = s.shard AND NOT EXISTS (` + resting + `))`,
		// A shard that somebody hangs with is passed by: shards have no order among them.
		lease: `
UPDATE millrace_outbox_shards SET owner = $1, until = ` + now + ` + $2 WHERE until <= ` + now + ` AND shard IN (
	SELECT shard FROM millrace_outbox_shards WHERE until <= ` + now + ` AND shard ` + list(3) + unlocked + `
) RETURNING shard`,
		renew:   `UPDATE millrace_outbox_shards SET until = ` + now + ` + $2 WHERE owner = $1 AND until > ` + now,
		release: `UPDATE millrace_outbox_shards SET owner = '', until = 0 WHERE owner = $1`,
		read: columns + `FROM millrace_outbox AS o
WHERE o.shard = $1 AND NOT EXISTS (` + resting + `) ORDER BY o.position LIMIT $2`,
		// It begins at the first position, too: after the page was read, a lower one may have been committed that comes first in its lane.
		beyond: columns + `FROM (
	SELECT position, lane, topic, attributes, data, base64, failed FROM millrace_outbox WHERE shard = $1 ORDER BY position LIMIT ` + maxCrowd + `
) AS o
WHERE NOT o.lane ` + list(3) + ` AND NOT EXISTS (` + resting + `) ORDER BY o.position LIMIT $2`,
		// Within bounds PostgreSQL reads the index once, in place of once for each position.
		remove: `DELETE FROM millrace_outbox WHERE shard = $1 AND position BETWEEN $2 AND $3 AND position ` + list(4),
		fail: `
UPDATE millrace_outbox SET failed = failed + 1, error = $3, due = ` + now + ` + $4 WHERE shard = $1 AND position = $2`,
		count: `
SELECT count(*), count(*) FILTER (WHERE failed > 0), coalesce(max(` + now + ` - recorded), 0) FROM millrace_outbox`,
		stuck: `
SELECT position, topic, attributes, failed, error FROM millrace_outbox WHERE failed > 0 ORDER BY position LIMIT $1`,
	}
}

// firstHalf is the first half of the advisory locks of lanes, the other half are the lowest 32 bits of the lane.
const firstHalf = "1869968482" // "outb" in ASCII

// putOnePostgres takes the lock before it takes the position. Arguments: lock, topic, lane, attributes, data, base64.
const putOnePostgres = `
INSERT INTO millrace_outbox (shard, lane, topic, attributes, data, base64)
SELECT $3::bigint & 7, $3, $2, $4, $5, $6 WHERE pg_advisory_xact_lock(` + firstHalf + `, $1::integer)::text IS NOT NULL`

// putAllPostgres takes the locks in the order of the first argument before it takes the first position. Arguments: locks,
// topic; per event lane, attributes, data, base64.
const putAllPostgres = `
WITH locked AS MATERIALIZED (
	SELECT pg_advisory_xact_lock(` + firstHalf + `, lock)::text AS done FROM unnest($1::integer[]) AS list(lock)
)
INSERT INTO millrace_outbox (shard, lane, topic, attributes, data, base64)
SELECT lane & 7, lane, $2, attributes, data, base64
FROM (SELECT count(done) AS locks FROM locked) AS held,
	unnest($3::bigint[], $4::text[], $5::bytea[], $6::boolean[]) WITH ORDINALITY AS list(lane, attributes, data, base64, place)
WHERE locks > 0 ORDER BY place`

func putPostgres(topic string, rows []row) Statement {
	if len(rows) == 1 {
		r := rows[0]
		return Statement{SQL: putOnePostgres, Args: []any{int32(r.lane), topic, r.lane, r.Attributes, r.Data, r.Base64}} //nolint:gosec // the lowest bits are wanted
	}
	locks, lanes := make([]int32, len(rows)), make([]int64, len(rows))
	attributes, data, base64 := make([]string, len(rows)), make([][]byte, len(rows)), make([]bool, len(rows))
	for i, r := range rows {
		locks[i], lanes[i] = int32(r.lane), r.lane //nolint:gosec // the lowest bits are wanted
		attributes[i], data[i], base64[i] = r.Attributes, r.Data, r.Base64
	}
	slices.Sort(locks) // whoever puts events with the same keys locks them in the same order
	return Statement{SQL: putAllPostgres, Args: []any{slices.Compact(locks), topic, lanes, attributes, data, base64}}
}

func putSQLite(topic string, rows []row) Statement {
	const insert, values = `INSERT INTO millrace_outbox (shard, lane, topic, attributes, data, base64) VALUES `, `, (?, ?, ?, ?, ?, ?)`
	args := make([]any, 0, 6*len(rows))
	for _, r := range rows {
		args = append(args, shardOf(r.lane), r.lane, topic, r.Attributes, r.Data, r.Base64)
	}
	return Statement{SQL: insert + strings.Repeat(values, len(rows))[2:], Args: args}
}

// listSQLite writes a JSON array.
func listSQLite(numbers []int64) any {
	text := []byte{'['}
	for i, n := range numbers {
		if i > 0 {
			text = append(text, ',')
		}
		text = strconv.AppendInt(text, n, 10)
	}
	return string(append(text, ']'))
}
