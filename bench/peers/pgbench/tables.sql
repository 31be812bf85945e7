-- The least that an order needs: a unique key, and items that point to it.
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id text NOT NULL UNIQUE,
    recorded_at timestamptz NOT NULL,
    event_date text NOT NULL,
    currency text NOT NULL,
    click_id text,
    customer_id text
);
CREATE TABLE items (
    order_number bigint NOT NULL REFERENCES orders (id),
    position int NOT NULL,
    sku text NOT NULL,
    category text NOT NULL,
    quantity bigint NOT NULL,
    amount bigint NOT NULL,
    PRIMARY KEY (order_number, position)
);
