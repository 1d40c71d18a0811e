-- +goose Up
CREATE TABLE IF NOT EXISTS payments (
    order_id       TEXT    NOT NULL PRIMARY KEY,
    state          TEXT    NOT NULL, -- waiting, charging, charged, rejected, followed, declined, refunding, refunded, cancelled
    customer_id    TEXT    NOT NULL,
    payment_id     TEXT    NOT NULL, -- Idempotency-Key of the charge
    refund_id      TEXT    NOT NULL, -- Idempotency-Key of the refund
    amount         TEXT    NOT NULL, -- decimal, with the digits as they were told
    currency       TEXT    NOT NULL,
    by_hand        INTEGER NOT NULL, -- whether somebody else took the money
    method         TEXT    NOT NULL,
    transaction_id TEXT    NOT NULL, -- of the payment
    reason         TEXT    NOT NULL, -- why it was declined, or called off
    changed        INTEGER NOT NULL  -- microseconds since 1970
) WITHOUT ROWID;

-- +goose Down
DROP TABLE payments;
