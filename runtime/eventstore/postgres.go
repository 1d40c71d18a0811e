package eventstore

import (
	"context"
)

// announcement is the first half of the advisory locks by which transactions announce their positions. The other half is a
// position, as much of it as fits: the lowest 31 bits.
const announcement = "1835625580" // "mill" in ASCII

func newPostgres() *dialect {
	return &dialect{
		microseconds: "(extract(epoch FROM recorded) * 1000000)::bigint",
		alone:        true,
		lock:         lockPostgres,
		append:       appendPostgres,
		appendOrUndo: appendOrUndoPostgres,
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

// The statement moves the stream on, which waits for others who do, announces, and takes positions, in this order: each
// part reads what the one before returns. A transaction that has announced before does not do so again; its setting
// ends with it. It returns version and position of the last event, how many were stored, and whether the stream moved.
//
// Arguments: stream, events, expected version; identity, attributes, data, base64 of the event, or arrays of these; metadata.
const (
	beginStream = `
WITH stream AS (
INSERT INTO millrace_streams AS s (stream, version) VALUES ($1, $2)
ON CONFLICT (stream) DO UPDATE SET version = s.version + $2 WHERE $3::bigint = -1 OR s.version = 0
RETURNING version` + afterStream
	continueStream = `
WITH stream AS (
UPDATE millrace_streams SET version = version + $2 WHERE stream = $1 AND (version = $3 OR ($3 = -2 AND version > 0))
RETURNING version` + afterStream
	afterStream = `
), announced AS MATERIALIZED (
	SELECT version - $2 AS before, CASE WHEN coalesce(current_setting('millrace.announced', true), '') = ''
		THEN pg_advisory_xact_lock_shared(` + announcement + `, ((` + last + `) & 2147483647)::integer)::text || set_config('millrace.announced', 'yes', true)
		ELSE 'before' END AS done
	FROM stream, millrace_events_position
), stored AS (
	INSERT INTO millrace_events (stream, version, identity, attributes, data, base64, metadata)`
	oneEvent = `
	SELECT $1, before + 1, $4, $5, $6, $7, $8 FROM announced WHERE done IS NOT NULL`
	// manyEvents takes arrays.
	manyEvents = `
	SELECT $1, before + place, identity, attributes, data, base64, $8
	FROM announced, unnest($4::bytea[], $5::text[], $6::bytea[], $7::boolean[]) WITH ORDINALITY AS list(identity, attributes, data, base64, place)
	WHERE done IS NOT NULL
	ORDER BY place`
	// unlessStored comes where events that are stored already are to be left out.
	unlessStored = ` ON CONFLICT (identity) DO NOTHING`
	afterEvents  = `
	RETURNING position, version
)
SELECT coalesce(max(version), 0), coalesce(max(position), 0), count(*), (SELECT count(*) FROM stream) FROM stored`
	// undoAppend removes the last events of a stream. Arguments: stream, how many were to be appended.
	undoAppend = `
WITH stream AS (UPDATE millrace_streams SET version = version - $2 WHERE stream = $1 RETURNING version)
DELETE FROM millrace_events AS e USING stream WHERE e.stream = $1 AND e.version > stream.version`
)

func appendPostgres(ctx context.Context, q querier, b batch) (Appended, bool, error) {
	a, _, moved, err := tryPostgres(ctx, q, b, "")
	return a, moved, err
}

// appendOrUndoPostgres takes what it stored back where it could not store all.
func appendOrUndoPostgres(ctx context.Context, q querier, b batch) (Appended, bool, error) {
	a, stored, moved, err := tryPostgres(ctx, q, b, unlessStored)
	if err != nil || !moved || stored == len(b.rows) {
		return a, moved, err
	}
	_, err = q.ExecContext(ctx, undoAppend, b.stream, len(b.rows))
	return Appended{}, false, err
}

// tryPostgres tells how many events were stored, and whether the stream moved.
func tryPostgres(ctx context.Context, q querier, b batch, conflict string) (a Appended, stored int, moved bool, err error) {
	statement := continueStream
	if b.expected == NoStream || b.expected == Any {
		statement = beginStream
	}
	events, args := eventsPostgres(b)
	a.Stream = b.stream
	var streams int
	err = q.QueryRowContext(ctx, statement+events+conflict+afterEvents, args...).Scan(&a.Version, &a.Position, &stored, &streams)
	return a, stored, streams > 0, err
}

// eventsPostgres returns the part of the statement that makes rows of events, and all arguments. What makes one costs less.
func eventsPostgres(b batch) (part string, args []any) {
	args = []any{b.stream, len(b.rows), int64(b.expected)}
	if len(b.rows) == 1 {
		r := b.rows[0]
		return oneEvent, append(args, r.identity, r.Attributes, r.Data, r.Base64, b.metadata)
	}
	identities, attributes := make([][]byte, len(b.rows)), make([]string, len(b.rows))
	data, base64 := make([][]byte, len(b.rows)), make([]bool, len(b.rows))
	for i, r := range b.rows {
		identities[i], attributes[i], data[i], base64[i] = r.identity, r.Attributes, r.Data, r.Base64
	}
	return manyEvents, append(args, identities, attributes, data, base64, b.metadata)
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
