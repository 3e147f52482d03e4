-- +goose Up
-- A ticket's first evaluation. The answer is a function of share, elements and
-- hedge, so that a replay within the window gives the same bytes without the
-- answer being stored.
CREATE TABLE ticket (
    id       BYTEA  NOT NULL PRIMARY KEY,
    expires  BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    hedge    BYTEA  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX ticket_expires ON ticket (expires);

CREATE TABLE quota (
    member TEXT   NOT NULL,
    class  TEXT   NOT NULL,
    key    BYTEA  NOT NULL,
    starts BIGINT NOT NULL,
    used   BIGINT NOT NULL,
    PRIMARY KEY (member, class, key, starts)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX quota_starts ON quota (starts);

-- A ceremony that this holder takes or took part in. One open ceremony at a time;
-- there is one every few months, and they stay; those that were given up for a year.
CREATE TABLE ceremony (
    id         BYTEA  NOT NULL PRIMARY KEY,
    plan       BYTEA  NOT NULL,
    approval   BYTEA  NOT NULL, -- of a reshare: the plan as governance signed it
    opener     TEXT   NOT NULL, -- whose certificate opened it here
    started    BIGINT NOT NULL, -- Unix nanoseconds
    state      TEXT   NOT NULL, -- open, signed, done, aborted
    slot       TEXT   NOT NULL, -- of its share files, while they may have to be tidied
    transcript BYTEA  NOT NULL, -- hash, once it is signed
    culprit    TEXT   NOT NULL,
    reason     TEXT   NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The signed messages of ceremonies. Two different ones of one sender and round are
-- evidence: both are kept.
CREATE TABLE ceremony_message (
    ceremony BYTEA  NOT NULL,
    round    BIGINT NOT NULL,
    sender   TEXT   NOT NULL,
    digest   BYTEA  NOT NULL,
    signed   BYTEA  NOT NULL,
    PRIMARY KEY (ceremony, round, sender, digest)
) /* sqlite: STRICT, WITHOUT ROWID */;
