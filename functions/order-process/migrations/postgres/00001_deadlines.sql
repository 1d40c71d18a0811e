-- +goose Up
CREATE TABLE order_deadlines (
    order_id    text    COLLATE "C" PRIMARY KEY,
    step        text    NOT NULL, -- what the order waits for
    patience    bigint  NOT NULL, -- how long it waits, in microseconds
    due         bigint  NOT NULL, -- when it has waited so long, in microseconds since 1970
    extended    boolean NOT NULL, -- whether it was given its time twice
    correlation text    NOT NULL, -- correlation id of the flow
    causation   text    NOT NULL  -- id of the event that began the step
);
CREATE INDEX order_deadlines_due ON order_deadlines (due, order_id);

-- +goose Down
DROP TABLE order_deadlines;
