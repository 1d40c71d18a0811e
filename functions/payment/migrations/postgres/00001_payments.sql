-- +goose Up
CREATE TABLE IF NOT EXISTS payments (
    order_id       text    COLLATE "C" PRIMARY KEY,
    state          text    NOT NULL, -- waiting, charging, charged, rejected, followed, declined, refunding, refunded, cancelled
    customer_id    text    NOT NULL,
    payment_id     text    NOT NULL, -- Idempotency-Key of the charge
    refund_id      text    NOT NULL, -- Idempotency-Key of the refund
    amount         text    NOT NULL, -- decimal, with the digits as they were told
    currency       text    NOT NULL,
    by_hand        boolean NOT NULL, -- whether somebody else took the money
    method         text    NOT NULL,
    transaction_id text    NOT NULL, -- of the payment
    reason         text    NOT NULL, -- why it was declined, or called off
    changed        bigint  NOT NULL  -- microseconds since 1970
) WITH (fillfactor = 80); -- room to change a row without a change of the index

-- +goose Down
DROP TABLE payments;
