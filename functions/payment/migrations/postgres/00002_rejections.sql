-- +goose Up
-- The event that rejected the goods of an order, without its data, while the function itself is to give the money back.
ALTER TABLE payments ADD COLUMN rejection text NOT NULL DEFAULT '';
CREATE INDEX payments_rejected ON payments (changed) WHERE rejection <> '';

-- +goose Down
DROP INDEX payments_rejected;
ALTER TABLE payments DROP COLUMN rejection;
