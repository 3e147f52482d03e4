-- +goose Up
-- For this package's tests: one table of each shape that the roles use.
CREATE TABLE item (
    id BYTEA NOT NULL PRIMARY KEY,
    n BIGINT NOT NULL,
    name TEXT,
    data BYTEA,
    flag INTEGER NOT NULL DEFAULT 0
) /* sqlite: STRICT, WITHOUT ROWID */;

CREATE TABLE counter (
    name TEXT NOT NULL PRIMARY KEY,
    value BIGINT NOT NULL CHECK (value >= 0)
) /* sqlite: STRICT, WITHOUT ROWID */;
