-- +goose Up
-- The logs this database keeps, one for each process that the role has had. log is
-- the number of the process, from 1, and the last part of origin, the log's name;
-- the rest of the name is the same for all of them.
CREATE TABLE journal_log (
    log BIGINT NOT NULL PRIMARY KEY,
    origin TEXT NOT NULL
) /* sqlite: STRICT */;

-- One row for each entry, numbered in its log from 0 without gaps: seq is the leaf
-- index. Rows are never deleted. sealed is the entry itself, encrypted so that the
-- running role cannot read what it wrote before today. family is a keyed hash
-- of the ticket's secret, the log and the kind: by it the entries of one kind about
-- one ticket are counted, and the database does not name the ticket. Both are NULL
-- once the entry is erased, and erased is then the number of the entry that
-- says so; leaf stays.
CREATE TABLE journal (
    log BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    leaf BYTEA NOT NULL,
    kind TEXT NOT NULL,
    ordinal BIGINT NOT NULL,
    at BIGINT NOT NULL,
    family BYTEA,
    sealed BYTEA,
    erased BIGINT,
    PRIMARY KEY (log, seq)
) /* sqlite: STRICT */;

-- An entry's ordinal in its family. Without one the column is NULL, and NULLs
-- are distinct.
CREATE UNIQUE INDEX journal_family ON journal (family, ordinal) WHERE family IS NOT NULL;

-- What was erased, in the order in which it was.
CREATE INDEX journal_erased ON journal (log, erased, seq) WHERE erased IS NOT NULL;

-- Logs that are closed for ever, because a backup was restored that is older than what
-- others have seen of them. at is when, in Unix seconds; opened is what is published of
-- the entry in the successor that says so.
CREATE TABLE journal_succession (
    log BIGINT NOT NULL PRIMARY KEY,
    successor BIGINT NOT NULL,
    at BIGINT NOT NULL,
    opened BYTEA NOT NULL
) /* sqlite: STRICT */;

-- The keys of sealed entries, each wrapped by age for those entitled. made is
-- in Unix seconds. Each process draws its own.
CREATE TABLE journal_key (
    id BYTEA NOT NULL PRIMARY KEY,
    made BIGINT NOT NULL,
    wrapped BYTEA NOT NULL
) /* sqlite: STRICT */;

-- How far erasure has come in a log with a class: kinds that are kept equally
-- long. Every entry below through is erased, held, or of another class.
CREATE TABLE journal_retention (
    log BIGINT NOT NULL,
    class TEXT NOT NULL,
    through BIGINT NOT NULL,
    PRIMARY KEY (log, class)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Legal holds, of all logs. kinds are separated by spaces, none means all. begins
-- (inclusive) and ends (exclusive) are in Unix seconds.
CREATE TABLE journal_hold (
    id BIGINT NOT NULL PRIMARY KEY,
    kinds TEXT NOT NULL,
    begins BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    reason TEXT NOT NULL,
    made BIGINT NOT NULL,
    released BIGINT
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The lowest number of an entry in a log that would have been erased without the
-- hold.
CREATE TABLE journal_skipped (
    hold BIGINT NOT NULL,
    log BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    PRIMARY KEY (hold, log)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The daily counters of a log. day counts from 1970-01-01; seq is the entry and
-- opened what is published of it; every entry of a later day is numbered from next
-- on.
CREATE TABLE journal_daily (
    log BIGINT NOT NULL,
    day BIGINT NOT NULL,
    seq BIGINT NOT NULL,
    next BIGINT NOT NULL,
    opened BYTEA NOT NULL,
    PRIMARY KEY (log, day)
) /* sqlite: STRICT */;

-- Receipts of others, kept until their leaves have been seen, by whichever process.
-- The log of the process that keeps them is in the upper bits of id. deadline is in
-- Unix seconds. The ticket is there because its secret finds the leaf.
CREATE TABLE receipt (
    id BIGINT NOT NULL PRIMARY KEY,
    deadline BIGINT NOT NULL,
    ticket BYTEA NOT NULL,
    receipts BYTEA NOT NULL
) /* sqlite: STRICT */;

-- The roster versions that have an entry in a log.
CREATE TABLE journal_roster (
    log BIGINT NOT NULL,
    version BIGINT NOT NULL,
    PRIMARY KEY (log, version)
) /* sqlite: STRICT */;
