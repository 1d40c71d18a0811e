-- +goose Up
CREATE TABLE IF NOT EXISTS millrace_outbox (
    shard      smallint NOT NULL,
    -- Positions of a lane must be given in order, so no session may keep some for later: CACHE 1.
    position   bigint   NOT NULL GENERATED ALWAYS AS IDENTITY (CACHE 1),
    lane       bigint   NOT NULL, -- stands for topic and key
    topic      text     NOT NULL,
    attributes text     NOT NULL, -- the event without its data, in the CloudEvents JSON format
    data       bytea,             -- null: the event has none
    base64     boolean  NOT NULL, -- whether the data is written as base64 in JSON
    recorded   bigint   NOT NULL DEFAULT (extract(epoch FROM statement_timestamp()) * 1000000)::bigint, -- microseconds since 1970
    failed     integer  NOT NULL DEFAULT 0, -- times that it could not be published
    due        bigint   NOT NULL DEFAULT 0, -- when it is tried again, in microseconds since 1970
    error      text     NOT NULL DEFAULT '',
    PRIMARY KEY (shard, position)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000); -- rows do not stay
CREATE INDEX IF NOT EXISTS millrace_outbox_stuck ON millrace_outbox (lane) WHERE failed > 0;
CREATE TABLE IF NOT EXISTS millrace_outbox_shards (
    shard smallint PRIMARY KEY,
    owner text     NOT NULL, -- the relay that may publish the shard's events
    until bigint   NOT NULL  -- for how long, in microseconds since 1970
);
INSERT INTO millrace_outbox_shards SELECT shard, '', 0 FROM generate_series(0, 7) AS list(shard) ON CONFLICT DO NOTHING;

-- +goose Down
DROP TABLE millrace_outbox_shards;
DROP TABLE millrace_outbox;
