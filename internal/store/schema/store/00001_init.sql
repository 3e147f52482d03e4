-- +goose Up
-- One row: the role whose database this is.
CREATE TABLE store_role (
    role TEXT NOT NULL PRIMARY KEY
) /* sqlite: STRICT, WITHOUT ROWID */;
