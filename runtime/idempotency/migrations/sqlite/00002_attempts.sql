-- +goose Up
ALTER TABLE millrace_idempotency ADD COLUMN failed INTEGER NOT NULL DEFAULT 0; -- attempts that failed, since the event was last completed
ALTER TABLE millrace_idempotency ADD COLUMN first_failure INTEGER; -- in milliseconds since 1970
ALTER TABLE millrace_idempotency ADD COLUMN crashed INTEGER NOT NULL DEFAULT 0; -- claims whose lease ended
ALTER TABLE millrace_idempotency ADD COLUMN kept INTEGER; -- until when these are remembered, null where nothing is
DROP INDEX IF EXISTS millrace_idempotency_until;
CREATE INDEX millrace_idempotency_kept ON millrace_idempotency (coalesce(kept, until));

-- +goose Down
DROP INDEX millrace_idempotency_kept;
ALTER TABLE millrace_idempotency DROP COLUMN failed;
ALTER TABLE millrace_idempotency DROP COLUMN first_failure;
ALTER TABLE millrace_idempotency DROP COLUMN crashed;
ALTER TABLE millrace_idempotency DROP COLUMN kept;
CREATE INDEX millrace_idempotency_until ON millrace_idempotency (until);
