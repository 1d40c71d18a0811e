-- +goose Up
-- Pieces of each product. told: ProductOutOfStock was published and none came in since.
CREATE TABLE IF NOT EXISTS inventory_stock (
    product_id TEXT    PRIMARY KEY,
    available  INTEGER NOT NULL CHECK (available >= 0),
    reserved   INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    told       INTEGER NOT NULL DEFAULT 0 CHECK (told IN (0, 1))
) STRICT, WITHOUT ROWID;
-- How far the reservation of each order has come.
CREATE TABLE IF NOT EXISTS inventory_orders (
    order_id TEXT PRIMARY KEY,
    state    TEXT NOT NULL CHECK (state IN ('open', 'prepaid', 'reserved', 'rejected', 'released', 'cancelled'))
) STRICT, WITHOUT ROWID;
-- The pieces that each order asks for, added up.
CREATE TABLE IF NOT EXISTS inventory_items (
    order_id   TEXT    NOT NULL,
    product_id TEXT    NOT NULL,
    quantity   INTEGER NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
) STRICT, WITHOUT ROWID;

-- +goose Down
DROP TABLE inventory_items;
DROP TABLE inventory_orders;
DROP TABLE inventory_stock;
