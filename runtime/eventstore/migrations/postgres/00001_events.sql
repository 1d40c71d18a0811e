-- +goose Up
CREATE TABLE IF NOT EXISTS millrace_streams (
    stream  text   COLLATE "C" PRIMARY KEY,
    version bigint NOT NULL -- of its last event
) WITH (fillfactor = 80); -- room to change a version without a change of the index
-- Positions must be given in order, so no session may keep some for later: CACHE 1.
CREATE SEQUENCE IF NOT EXISTS millrace_events_position AS bigint CACHE 1;
CREATE TABLE IF NOT EXISTS millrace_events (
    position   bigint      PRIMARY KEY DEFAULT nextval('millrace_events_position'),
    stream     text        COLLATE "C" NOT NULL,
    version    bigint      NOT NULL, -- within the stream, from 1
    identity   bytea       NOT NULL UNIQUE, -- SHA-256 of source and id
    attributes text        NOT NULL, -- the event without its data, in the CloudEvents JSON format
    data       bytea,                -- null: the event has none
    base64     boolean     NOT NULL, -- whether the data is written as base64 in JSON
    metadata   text,                 -- JSON object of strings
    recorded   timestamptz NOT NULL DEFAULT statement_timestamp(),
    UNIQUE (stream, version)
);
ALTER SEQUENCE millrace_events_position OWNED BY millrace_events.position;
CREATE TABLE IF NOT EXISTS millrace_snapshots (
    stream  text    COLLATE "C" PRIMARY KEY,
    version bigint  NOT NULL, -- of the stream
    schema  integer NOT NULL, -- the form of the state
    state   bytea   NOT NULL
);

-- +goose Down
DROP TABLE millrace_snapshots;
DROP TABLE millrace_events;
DROP TABLE millrace_streams;
