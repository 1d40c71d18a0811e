-- +goose Up
CREATE TABLE IF NOT EXISTS millrace_idempotency (
    key      bytea       PRIMARY KEY, -- SHA-256 of function, source and id
    function text        NOT NULL,
    token    uuid        NOT NULL,    -- proof of the claim
    state    smallint    NOT NULL CHECK (state BETWEEN 1 AND 3), -- claimed, completed, published
    outcome  bytea,                   -- the events to publish, while the state is completed
    until    timestamptz NOT NULL     -- end of the lease, or of the retention
);
CREATE INDEX IF NOT EXISTS millrace_idempotency_until ON millrace_idempotency (until);

-- +goose Down
DROP TABLE millrace_idempotency;
