-- +goose Up
-- When the function itself gives the money of a rejected order back, in microseconds since 1970, 0: never; and the event that
-- rejected the order, without its data.
ALTER TABLE payments ADD COLUMN refund_due INTEGER NOT NULL DEFAULT 0;
ALTER TABLE payments ADD COLUMN rejection TEXT NOT NULL DEFAULT '';
CREATE INDEX payments_refund_due ON payments (refund_due) WHERE refund_due > 0;

-- +goose Down
DROP INDEX payments_refund_due;
ALTER TABLE payments DROP COLUMN rejection;
ALTER TABLE payments DROP COLUMN refund_due;
