-- +goose Up
-- A check that this state has made. The applicant stands here in clear: it is
-- this state's own applicant. due is when housekeeping must look at it again:
-- to take up what a crash cut off, or to make an owed check once more.
-- successor is the check that has taken its place.
CREATE TABLE inquiry (
    ticket         BYTEA   NOT NULL PRIMARY KEY,
    signed         BYTEA   NOT NULL,
    receipts       BYTEA   NOT NULL,
    hub_receipts   BYTEA   NOT NULL,
    elements       BYTEA   NOT NULL,
    tags           BYTEA   NOT NULL,
    seed           BYTEA   NOT NULL,
    applicant      BYTEA   NOT NULL,
    digits         TEXT    NOT NULL,
    case_reference TEXT    NOT NULL,
    case_salt      BYTEA   NOT NULL,
    operator       TEXT    NOT NULL,
    state          INTEGER NOT NULL,
    too_many       INTEGER NOT NULL,
    own            BYTEA   NOT NULL,
    coverage       BYTEA   NOT NULL,
    tries          INTEGER NOT NULL,
    due            BIGINT,
    successor      BYTEA,
    created        BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX inquiry_due ON inquiry (due) WHERE due IS NOT NULL;
CREATE INDEX inquiry_created ON inquiry (created);
CREATE INDEX inquiry_case ON inquiry (operator, case_reference, created);

-- One candidate of one inquiry, and how far it has come. statement is what its
-- owner signed with the final answer.
CREATE TABLE ask (
    ticket               BYTEA   NOT NULL,
    reference            BYTEA   NOT NULL,
    owner                TEXT    NOT NULL,
    state                INTEGER NOT NULL,
    outcome              TEXT    NOT NULL,
    status               TEXT    NOT NULL,
    card_kind            TEXT    NOT NULL,
    termination_required INTEGER NOT NULL,
    refused              TEXT    NOT NULL,
    statement            BYTEA   NOT NULL,
    PRIMARY KEY (ticket, reference)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX ask_unsent ON ask (owner) WHERE state = 0;

-- What the hub told this state about searches that found its records, and how
-- far the question has come. agreed is a bit for each of the ten slots; question
-- is the second leg that waits for a person to answer it, else empty. told is the
-- outcome that was answered to a second leg; applicant is kept where that was not
-- no match. statement is the notice as the hub signed it.
CREATE TABLE notice (
    ticket    BYTEA   NOT NULL,
    reference BYTEA   NOT NULL,
    handle    BYTEA   NOT NULL,
    asking    TEXT    NOT NULL,
    state     INTEGER NOT NULL,
    agreed    INTEGER NOT NULL,
    signed    BYTEA   NOT NULL,
    question  BYTEA   NOT NULL,
    told      TEXT    NOT NULL,
    applicant BYTEA   NOT NULL,
    tau       BYTEA   NOT NULL,
    statement BYTEA   NOT NULL,
    at        BIGINT  NOT NULL,
    PRIMARY KEY (ticket, reference)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX notice_at ON notice (at);

-- Ids of messages whose effects are committed: a second delivery changes nothing.
CREATE TABLE inbox (
    id BYTEA  NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX inbox_at ON inbox (at);

-- Sealed messages that could not be handled yet. They are out of the mailbox, so
-- that they do not stop it, and are tried again until they expire.
CREATE TABLE held (
    id     BYTEA  NOT NULL PRIMARY KEY,
    sealed BYTEA  NOT NULL,
    due    BIGINT NOT NULL
) /* sqlite: STRICT */;
CREATE INDEX held_due ON held (due);

-- Sealed messages that the hub has not taken yet.
CREATE TABLE outbox (
    id     BYTEA  NOT NULL PRIMARY KEY,
    sealed BYTEA  NOT NULL,
    at     BIGINT NOT NULL
) /* sqlite: STRICT */;
CREATE INDEX outbox_at ON outbox (at);

-- A synthetic person of this state, and which state looks for it.
CREATE TABLE planted (
    id    TEXT   NOT NULL PRIMARY KEY,
    state TEXT   NOT NULL,
    at    BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- A synthetic person of another state, for whom this state looks now and then by
-- an ordinary check. ticket is the check that is under way, else empty; misses
-- counts those that did not find it since it was found; due is when to look at
-- it again.
CREATE TABLE canary (
    id        BYTEA   NOT NULL PRIMARY KEY,
    owner     TEXT    NOT NULL,
    applicant BYTEA   NOT NULL,
    ticket    BYTEA   NOT NULL,
    misses    INTEGER NOT NULL,
    due       BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX canary_due ON canary (due);

-- The gateway's message keys, encrypted under a key that comes from a secret outside
-- the database.
CREATE TABLE keyring (
    member TEXT  NOT NULL PRIMARY KEY,
    sealed BYTEA NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
