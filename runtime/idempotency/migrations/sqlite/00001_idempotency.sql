-- +goose Up
CREATE TABLE IF NOT EXISTS millrace_idempotency (
    key      BLOB    NOT NULL PRIMARY KEY, -- SHA-256 of function, source and id
    function TEXT    NOT NULL,
    token    TEXT    NOT NULL,             -- proof of the claim
    state    INTEGER NOT NULL CHECK (state BETWEEN 1 AND 3), -- claimed, completed, published
    outcome  BLOB,                         -- the events to publish, while the state is completed
    until    INTEGER NOT NULL              -- end of the lease, or of the retention, in milliseconds since 1970
);
CREATE INDEX IF NOT EXISTS millrace_idempotency_until ON millrace_idempotency (until);

-- +goose Down
DROP TABLE millrace_idempotency;
