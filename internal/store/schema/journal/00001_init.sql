-- +goose Up
-- The log this database keeps; one row, written once.
CREATE TABLE journal_origin (
    origin TEXT NOT NULL PRIMARY KEY
) /* sqlite: STRICT, WITHOUT ROWID */;

-- One row for each entry, numbered from 0 without gaps: seq is the leaf index.
-- Rows are never deleted. sealed is the entry itself, encrypted so that the
-- running role cannot read what it wrote before today. family is a keyed hash
-- of the ticket's secret and the kind: by it the entries of one kind about one
-- ticket are counted, and the database does not name the ticket. Both are NULL
-- once the entry is erased, and erased is then the number of the entry that
-- says so; leaf stays.
CREATE TABLE journal (
    seq BIGINT NOT NULL PRIMARY KEY,
    leaf BYTEA NOT NULL,
    kind TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    at BIGINT NOT NULL,
    family BYTEA,
    sealed BYTEA,
    erased BIGINT
) /* sqlite: STRICT */;

-- An entry's ordinal in its family. Without one the column is NULL, and NULLs
-- are distinct.
CREATE UNIQUE INDEX journal_family ON journal (family, ordinal) WHERE family IS NOT NULL;

-- What was erased, in the order in which it was.
CREATE INDEX journal_erased ON journal (erased, seq) WHERE erased IS NOT NULL;

-- The keys of sealed entries, each wrapped by age for those entitled. made is
-- in Unix seconds.
CREATE TABLE journal_key (
    id BYTEA NOT NULL PRIMARY KEY,
    made BIGINT NOT NULL,
    wrapped BYTEA NOT NULL
) /* sqlite: STRICT */;

-- How far erasure has come with a class: kinds that are kept equally long. Every
-- entry below through is erased, held, or of another class.
CREATE TABLE journal_retention (
    class TEXT NOT NULL PRIMARY KEY,
    through BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Legal holds. kinds are separated by spaces, none means all. begins (inclusive)
-- and ends (exclusive) are in Unix seconds. skipped is the lowest number of an
-- entry that would have been erased without it.
CREATE TABLE journal_hold (
    id BIGINT NOT NULL PRIMARY KEY,
    kinds TEXT NOT NULL,
    begins BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    reason TEXT NOT NULL,
    made BIGINT NOT NULL,
    released BIGINT,
    skipped BIGINT
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The daily counters. day counts from 1970-01-01; seq is the entry and opened
-- what is published of it; every entry of a later day is numbered from next on.
CREATE TABLE journal_daily (
    day BIGINT NOT NULL PRIMARY KEY,
    seq BIGINT NOT NULL,
    next BIGINT NOT NULL,
    opened BYTEA NOT NULL
) /* sqlite: STRICT */;

-- Receipts of others, kept until their leaves have been seen. deadline is in
-- Unix seconds. The ticket is there because its secret finds the leaf.
CREATE TABLE receipt (
    id BIGINT NOT NULL PRIMARY KEY,
    deadline BIGINT NOT NULL,
    ticket BYTEA NOT NULL,
    receipts BYTEA NOT NULL
) /* sqlite: STRICT */;

-- The roster versions that have an entry.
CREATE TABLE journal_roster (
    version BIGINT NOT NULL PRIMARY KEY
) /* sqlite: STRICT */;
