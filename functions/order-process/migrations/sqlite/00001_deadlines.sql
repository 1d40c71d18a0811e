-- +goose Up
CREATE TABLE order_deadlines (
    order_id    TEXT    NOT NULL PRIMARY KEY,
    step        TEXT    NOT NULL, -- what the order waits for
    patience    INTEGER NOT NULL, -- how long it waits, in microseconds
    due         INTEGER NOT NULL, -- when it has waited so long, in microseconds since 1970
    extended    INTEGER NOT NULL, -- whether it was given its time twice
    correlation TEXT    NOT NULL, -- correlation id of the flow
    causation   TEXT    NOT NULL  -- id of the event that began the step
) WITHOUT ROWID;
CREATE INDEX order_deadlines_due ON order_deadlines (due, order_id);

-- +goose Down
DROP TABLE order_deadlines;
