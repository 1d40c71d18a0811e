-- +goose Up
CREATE TABLE IF NOT EXISTS millrace_streams (
    stream  TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL -- of its last event
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS millrace_events (
    position   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- never given twice
    stream     TEXT    NOT NULL,
    version    INTEGER NOT NULL, -- within the stream, from 1
    identity   BLOB    NOT NULL UNIQUE, -- SHA-256 of source and id
    attributes TEXT    NOT NULL, -- the event without its data, in the CloudEvents JSON format
    data       BLOB,             -- null: the event has none
    base64     INTEGER NOT NULL, -- whether the data is written as base64 in JSON
    metadata   TEXT,             -- JSON object of strings
    recorded   INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)), -- microseconds since 1970
    UNIQUE (stream, version)
);
CREATE TABLE IF NOT EXISTS millrace_snapshots (
    stream  TEXT    NOT NULL PRIMARY KEY,
    version INTEGER NOT NULL, -- of the stream
    schema  INTEGER NOT NULL, -- the form of the state
    state   BLOB    NOT NULL
);

-- +goose Down
DROP TABLE millrace_snapshots;
DROP TABLE millrace_events;
DROP TABLE millrace_streams;
