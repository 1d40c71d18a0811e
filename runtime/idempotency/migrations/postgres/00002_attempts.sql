-- +goose Up
ALTER TABLE millrace_idempotency
    ADD COLUMN failed        integer NOT NULL DEFAULT 0, -- attempts that failed, since the event was last completed
    ADD COLUMN first_failure timestamptz,
    ADD COLUMN crashed       integer NOT NULL DEFAULT 0, -- claims whose lease ended
    ADD COLUMN kept          timestamptz;                -- until when these are remembered, null where nothing is
DROP INDEX IF EXISTS millrace_idempotency_until;
CREATE INDEX millrace_idempotency_kept ON millrace_idempotency (coalesce(kept, until));

-- +goose Down
DROP INDEX millrace_idempotency_kept;
ALTER TABLE millrace_idempotency DROP COLUMN failed, DROP COLUMN first_failure, DROP COLUMN crashed, DROP COLUMN kept;
CREATE INDEX millrace_idempotency_until ON millrace_idempotency (until);
