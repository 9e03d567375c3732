-- A small shop. An order is placed, paid and shipped: orders.pgbench holds the three transactions.

CREATE SCHEMA shop;

CREATE TABLE shop.orders (
  id       bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  customer int    NOT NULL,
  amount   int    NOT NULL CHECK (amount > 0),                           -- in cents
  state    text   NOT NULL CHECK (state IN ('placed', 'paid', 'shipped')),
  revision int    NOT NULL                                               -- events so far
);
