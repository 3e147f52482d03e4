-- +goose Up
-- The log this database keeps; one row, written once.
CREATE TABLE journal_origin (
    origin TEXT NOT NULL PRIMARY KEY
) /* sqlite: STRICT, WITHOUT ROWID */;

-- One row for each entry, numbered from 0 without gaps: seq is the leaf index.
-- Rows are never deleted. What opens an entry (ticket, tau, salt, body) becomes
-- NULL at the end of its retention; the leaf stays.
CREATE TABLE journal (
    seq BIGINT NOT NULL PRIMARY KEY,
    leaf BYTEA NOT NULL,
    kind TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    at BIGINT NOT NULL,
    ticket BYTEA,
    tau BYTEA,
    salt BYTEA,
    body BYTEA
) /* sqlite: STRICT */;

-- An entry's ordinal among those of its ticket and kind. Without a ticket
-- the column is NULL, and NULLs are distinct.
CREATE UNIQUE INDEX journal_ticket ON journal (ticket, kind, ordinal);
