-- +goose Up
-- One row: the role whose database this is.
CREATE TABLE store_role (
    role TEXT NOT NULL PRIMARY KEY
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The processes of the role that have used this database, by their numbers. alive
-- says that one runs, as far as anybody knows: it counts beat up all the time. The
-- token is another one whenever a process takes the number or has lost it.
CREATE TABLE store_process (
    number BIGINT NOT NULL PRIMARY KEY,
    token BIGINT NOT NULL,
    beat BIGINT NOT NULL,
    alive BIGINT NOT NULL
) /* sqlite: STRICT */;

-- What one process does for all: it holds the lease as long as its number has that
-- token.
CREATE TABLE store_lease (
    name TEXT NOT NULL PRIMARY KEY,
    process BIGINT NOT NULL,
    token BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
