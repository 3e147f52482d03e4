-- +goose Up
-- What the state has in the index: for each of its records the handle that the
-- hub knows and the ten tokens, in slot order.
CREATE TABLE record (
    handle    BYTEA   NOT NULL PRIMARY KEY,
    id        TEXT    NOT NULL UNIQUE,
    tokens    BYTEA   NOT NULL,
    published INTEGER NOT NULL,
    changed   BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The state's own search of its own people: the first half of each token.
CREATE TABLE own_token (
    token  BYTEA NOT NULL,
    handle BYTEA NOT NULL,
    PRIMARY KEY (token, handle)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- A check that this state has made. The applicant stands here in clear: it is
-- this state's own applicant.
CREATE TABLE inquiry (
    ticket         BYTEA   NOT NULL PRIMARY KEY,
    signed         BYTEA   NOT NULL,
    receipts       BYTEA   NOT NULL,
    elements       BYTEA   NOT NULL,
    tags           BYTEA   NOT NULL,
    seed           BYTEA   NOT NULL,
    applicant      BYTEA   NOT NULL,
    case_reference TEXT    NOT NULL,
    case_salt      BYTEA   NOT NULL,
    operator       TEXT    NOT NULL,
    state          INTEGER NOT NULL,
    too_many       INTEGER NOT NULL,
    own            BYTEA   NOT NULL,
    created        BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- One candidate of one inquiry, and how far it has come.
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
    PRIMARY KEY (ticket, reference)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- What the hub told this state about searches that found its records, and how
-- far the question has come. agreed is a bit for each of the ten slots.
CREATE TABLE notice (
    ticket    BYTEA   NOT NULL,
    reference BYTEA   NOT NULL,
    handle    BYTEA   NOT NULL,
    asking    TEXT    NOT NULL,
    state     INTEGER NOT NULL,
    agreed    INTEGER NOT NULL,
    signed    BYTEA   NOT NULL,
    at        BIGINT  NOT NULL,
    PRIMARY KEY (ticket, reference)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Ids of messages whose effects are committed: a second delivery changes nothing.
CREATE TABLE inbox (
    id BYTEA  NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Sealed messages that the hub has not taken yet.
CREATE TABLE outbox (
    id     BYTEA  NOT NULL PRIMARY KEY,
    sealed BYTEA  NOT NULL,
    at     BIGINT NOT NULL
) /* sqlite: STRICT */;
