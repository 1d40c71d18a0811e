package eventstore

import (
	"context"
	"database/sql"
)

// announcement is the first half of the advisory locks by which transactions announce their positions. The other half is a
// position, as much of it as fits: the lowest 31 bits.
const announcement = "1835625580" // "mill" in ASCII

func newPostgres() *dialect {
	return &dialect{
		microseconds: "(extract(epoch FROM recorded) * 1000000)::bigint",
		alone:        true,
		refuses:      refusesPostgres,
		lock:         lockPostgres,
		append:       appendPostgres,
		horizon:      horizonPostgres,
	}
}

// lockPostgres locks the rows of streams, making those that are missing with version 0, which is that of no stream.
func lockPostgres(ctx context.Context, q querier, streams []string) error {
	_, err := q.ExecContext(ctx, `
INSERT INTO millrace_streams AS s (stream, version) SELECT name, 0 FROM unnest($1::text[]) WITH ORDINALITY AS list(name, place) ORDER BY place
ON CONFLICT (stream) DO UPDATE SET version = s.version`, streams)
	return err
}

// last is the last position that was taken. It is seen at once, whatever becomes of the transaction that took it.
const last = `last_value - (NOT is_called)::integer`

// refusesPostgres: who expects a version is told when another one moved the stream meanwhile, whatever it stored. One who
// expects none could find an event stored that was not there when its statement began.
func refusesPostgres(batches []batch) bool {
	return len(batches) == 1 && batches[0].expected >= NoStream
}

// The statement moves the stream on, unless one of the events is stored, which waits for others who do, announces, and takes
// positions, in this order: each part reads what the one before returns. A transaction that has announced before does not do
// so again; its setting ends with it.
//
// Arguments: stream, events, expected version; per event identity, attributes, data, base64; metadata.
const (
	beginStream = `
WITH stream AS (
INSERT INTO millrace_streams AS s (stream, version) SELECT $1, $2 WHERE ` + unstored + `
ON CONFLICT (stream) DO UPDATE SET version = s.version + $2 WHERE $3::bigint = -1 OR s.version = 0
RETURNING version` + afterStream
	continueStream = `
WITH stream AS (
UPDATE millrace_streams SET version = version + $2
WHERE stream = $1 AND (version = $3 OR ($3 = -2 AND version > 0)) AND ` + unstored + `
RETURNING version` + afterStream
	unstored    = `NOT EXISTS (SELECT FROM millrace_events WHERE identity = ANY ($4::bytea[]))`
	afterStream = `
), announced AS MATERIALIZED (
	SELECT version - $2 AS before, CASE WHEN coalesce(current_setting('millrace.announced', true), '') = ''
		THEN pg_advisory_xact_lock_shared(` + announcement + `, ((` + last + `) & 2147483647)::integer)::text || set_config('millrace.announced', 'yes', true)
		ELSE 'before' END AS done
	FROM stream, millrace_events_position
), stored AS (
	INSERT INTO millrace_events (stream, version, identity, attributes, data, base64, metadata)
	SELECT $1, before + place, identity, attributes, data, base64, $8
	FROM announced, unnest($4::bytea[], $5::text[], $6::bytea[], $7::boolean[]) WITH ORDINALITY AS list(identity, attributes, data, base64, place)
	WHERE done IS NOT NULL
	ORDER BY place
	RETURNING position, version
)
SELECT max(version), max(position) FROM stored`
)

func appendPostgres(ctx context.Context, q querier, b batch) (Appended, bool, error) {
	statement := continueStream
	if b.expected == NoStream || b.expected == Any {
		statement = beginStream
	}
	identities, attributes := make([][]byte, len(b.rows)), make([]string, len(b.rows))
	data, base64 := make([][]byte, len(b.rows)), make([]bool, len(b.rows))
	for i, r := range b.rows {
		identities[i], attributes[i], data[i], base64[i] = r.identity, r.Attributes, r.Data, r.Base64
	}
	var version, position sql.NullInt64
	err := q.QueryRowContext(ctx, statement, b.stream, len(b.rows), int64(b.expected),
		identities, attributes, data, base64, b.metadata).Scan(&version, &position)
	return Appended{Stream: b.stream, Version: version.Int64, Position: position.Int64}, version.Valid, err
}

// horizonPostgres looks up the last position that was taken, and then who announced a lower one and has not ended. The order
// matters: see the package comment. Numbers that are higher, of transactions that announced since, are far away in the
// circle of 31 bits.
func horizonPostgres(ctx context.Context, q querier) (int64, error) {
	var taken, behind int64
	if err := q.QueryRowContext(ctx, `SELECT `+last+` FROM millrace_events_position`).Scan(&taken); err != nil {
		return 0, err
	}
	err := q.QueryRowContext(ctx, announcements, taken).Scan(&behind)
	return taken - behind, err
}

const announcements = `
SELECT coalesce(max(behind), 0) FROM (
	SELECT ($1::bigint - objid::bigint) & 2147483647 AS behind FROM pg_locks
	WHERE locktype = 'advisory' AND classid = ` + announcement + ` AND objsubid = 2
		AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS announced WHERE behind < 1073741824`
