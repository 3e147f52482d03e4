-- +goose Up
-- What this state asks other states. due is when it must be looked at again, NULL
-- once it has ended; taken is the number of the last reply that was taken; reason
-- is why the key holders refused it, else empty.
CREATE TABLE errand (
    id             BYTEA   NOT NULL PRIMARY KEY,
    kind           TEXT    NOT NULL,
    purpose        TEXT    NOT NULL,
    recipient      TEXT    NOT NULL,
    cites          BYTEA   NOT NULL,
    operator       TEXT    NOT NULL,
    class          TEXT    NOT NULL,
    case_reference TEXT    NOT NULL,
    body           BYTEA   NOT NULL,
    state          INTEGER NOT NULL,
    tries          INTEGER NOT NULL,
    failures       INTEGER NOT NULL,
    taken          INTEGER NOT NULL,
    due            BIGINT,
    begun          BIGINT  NOT NULL,
    ended          BIGINT,
    reason         TEXT    NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX errand_due ON errand (due) WHERE due IS NOT NULL;
CREATE INDEX errand_ended ON errand (ended) WHERE ended IS NOT NULL;

-- The tickets under which an errand was allowed. One at most is open, which owes
-- the ledger its end: request is the letter that goes with it, evaluations the
-- places of its receipts.
CREATE TABLE errand_ticket (
    ticket      BYTEA   NOT NULL PRIMARY KEY,
    errand      BYTEA   NOT NULL,
    signed      BYTEA   NOT NULL,
    request     BYTEA   NOT NULL,
    evaluations TEXT    NOT NULL,
    state       INTEGER NOT NULL,
    at          BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX errand_ticket_errand ON errand_ticket (errand);

-- What came back. taken is 0 while an earlier reply is missing, and where the
-- errand had ended before.
CREATE TABLE errand_reply (
    errand    BYTEA   NOT NULL,
    number    INTEGER NOT NULL,
    ticket    BYTEA   NOT NULL,
    word      TEXT    NOT NULL,
    final     INTEGER NOT NULL,
    body      BYTEA   NOT NULL,
    refused   TEXT    NOT NULL,
    statement BYTEA   NOT NULL,
    taken     INTEGER NOT NULL,
    at        BIGINT  NOT NULL,
    PRIMARY KEY (errand, number)
) /* sqlite: STRICT */;

-- What other states ask this one. digest is that of kind and body, so that an id
-- stands for one question; ticket and evaluations are those that came last; due is
-- when Answer is to be called, NULL once it has been; finished is when the final
-- reply was given; statement is the newest request as its state signed it.
CREATE TABLE question (
    asking      TEXT    NOT NULL,
    id          BYTEA   NOT NULL,
    kind        TEXT    NOT NULL,
    digest      BYTEA   NOT NULL,
    body        BYTEA   NOT NULL,
    ticket      BYTEA   NOT NULL,
    evaluations TEXT    NOT NULL,
    statement   BYTEA   NOT NULL,
    replies     INTEGER NOT NULL,
    failures    INTEGER NOT NULL,
    due         BIGINT,
    at          BIGINT  NOT NULL,
    finished    BIGINT,
    PRIMARY KEY (asking, id)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX question_due ON question (due) WHERE due IS NOT NULL;
CREATE INDEX question_finished ON question (finished) WHERE finished IS NOT NULL;

-- Tickets under which a question has come: one that comes again changes nothing.
CREATE TABLE question_ticket (
    asking TEXT   NOT NULL,
    ticket BYTEA  NOT NULL,
    at     BIGINT NOT NULL,
    PRIMARY KEY (asking, ticket)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX question_ticket_at ON question_ticket (at);

-- What was said to a question, to be said again. ticket is the id of the one under
-- which it was said first; handle is that of the record, or empty.
CREATE TABLE question_reply (
    asking  TEXT    NOT NULL,
    id      BYTEA   NOT NULL,
    number  INTEGER NOT NULL,
    ticket  BYTEA   NOT NULL,
    word    TEXT    NOT NULL,
    final   INTEGER NOT NULL,
    body    BYTEA   NOT NULL,
    refused TEXT    NOT NULL,
    handle  BYTEA   NOT NULL,
    policy  TEXT    NOT NULL,
    PRIMARY KEY (asking, id, number)
) /* sqlite: STRICT */;

-- A ticket for an errand, or for upkeep, that nobody answers for yet: one that is
-- here when it is due was cut off, and is abandoned in the ledger.
CREATE TABLE permit (
    ticket BYTEA  NOT NULL PRIMARY KEY,
    signed BYTEA  NOT NULL,
    due    BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
