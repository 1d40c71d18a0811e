-- +goose Up
-- The answers to requests with an Idempotency-Key. A request that is repeated gets the answer that is kept here.
CREATE TABLE order_api_answers (
    idempotency_key text PRIMARY KEY,
    -- SHA-256 of method, path and body: another request with the key is refused.
    fingerprint bytea NOT NULL,
    status integer NOT NULL,
    location text NOT NULL,
    etag text NOT NULL,
    body bytea NOT NULL,
    -- Microseconds since 1970.
    answered_at bigint NOT NULL
);

CREATE INDEX order_api_answers_by_age ON order_api_answers (answered_at);

-- +goose Down
DROP TABLE order_api_answers;
