-- +goose Up
CREATE TABLE IF NOT EXISTS millrace_outbox (
    position   INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, -- never given twice
    shard      INTEGER NOT NULL,
    lane       INTEGER NOT NULL, -- stands for topic and key
    topic      TEXT    NOT NULL,
    attributes TEXT    NOT NULL, -- the event without its data, in the CloudEvents JSON format
    data       BLOB,             -- null: the event has none
    base64     INTEGER NOT NULL, -- whether the data is written as base64 in JSON
    recorded   INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000000 AS INTEGER)), -- microseconds since 1970
    failed     INTEGER NOT NULL DEFAULT 0, -- times that it could not be published
    due        INTEGER NOT NULL DEFAULT 0, -- when it is tried again, in microseconds since 1970
    error      TEXT    NOT NULL DEFAULT ''
);
CREATE INDEX IF NOT EXISTS millrace_outbox_shard ON millrace_outbox (shard, position);
CREATE INDEX IF NOT EXISTS millrace_outbox_stuck ON millrace_outbox (lane) WHERE failed > 0;
CREATE TABLE IF NOT EXISTS millrace_outbox_shards (
    shard INTEGER NOT NULL PRIMARY KEY,
    owner TEXT    NOT NULL, -- the relay that may publish the shard's events
    until INTEGER NOT NULL  -- for how long, in microseconds since 1970
);
INSERT INTO millrace_outbox_shards VALUES (0, '', 0), (1, '', 0), (2, '', 0), (3, '', 0), (4, '', 0), (5, '', 0), (6, '', 0), (7, '', 0)
ON CONFLICT DO NOTHING;

-- +goose Down
DROP TABLE millrace_outbox_shards;
DROP TABLE millrace_outbox;
