-- +goose Up
-- The version of the order of which it was first known that it waits for this step. An older one changes nothing.
ALTER TABLE order_deadlines ADD COLUMN version INTEGER NOT NULL DEFAULT 0;

-- +goose Down
ALTER TABLE order_deadlines DROP COLUMN version;
