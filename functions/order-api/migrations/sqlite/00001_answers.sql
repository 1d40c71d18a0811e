-- +goose Up
-- The answers to requests with an Idempotency-Key. A request that is repeated gets the answer that is kept here.
CREATE TABLE order_api_answers (
    idempotency_key TEXT PRIMARY KEY,
    -- SHA-256 of method, path and body: another request with the key is refused.
    fingerprint BLOB NOT NULL,
    status INTEGER NOT NULL,
    location TEXT NOT NULL,
    etag TEXT NOT NULL,
    body BLOB NOT NULL,
    -- Microseconds since 1970.
    answered_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX order_api_answers_by_age ON order_api_answers (answered_at);

-- +goose Down
DROP TABLE order_api_answers;
