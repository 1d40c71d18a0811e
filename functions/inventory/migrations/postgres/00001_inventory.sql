-- +goose Up
-- Pieces of each product. told: ProductOutOfStock was published and none came in since.
CREATE TABLE IF NOT EXISTS inventory_stock (
    product_id text    COLLATE "C" PRIMARY KEY,
    available  bigint  NOT NULL CHECK (available >= 0),
    reserved   bigint  NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    told       boolean NOT NULL DEFAULT false
);
-- How far the reservation of each order has come.
CREATE TABLE IF NOT EXISTS inventory_orders (
    order_id text COLLATE "C" PRIMARY KEY,
    state    text NOT NULL CHECK (state IN ('open', 'prepaid', 'reserved', 'rejected', 'released', 'cancelled'))
);
-- The pieces that each order asks for, added up.
CREATE TABLE IF NOT EXISTS inventory_items (
    order_id   text   COLLATE "C" NOT NULL,
    product_id text   COLLATE "C" NOT NULL,
    quantity   bigint NOT NULL CHECK (quantity > 0),
    PRIMARY KEY (order_id, product_id)
);

-- +goose Down
DROP TABLE inventory_items, inventory_orders, inventory_stock;
