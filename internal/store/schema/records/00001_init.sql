-- +goose Up
-- What this state has, had or wants in the index: one row for each pointer. Its
-- states are wanted, live, moved, withdrawn and ending. person is the name and
-- date of birth that it was made from, without an SSN; tokens are ten in slot
-- order under the key of epoch, and ten more under that of next_epoch unless it is 0.
-- Of the bits of the slots, todo and next_todo have those whose token is not made yet,
-- decoys those that were filled with something random. reached is the newest epoch
-- under whose key the hub has it, or 0. Under that of hidden, unless it is 0, the SSN
-- slots are random, since a release was not answered when it was published. era counts the changes of
-- the record's SSN. digits stand in for that while there is none, whoever it is, under
-- a mask of the gateway's secret; all pointers of a record have the same. receipt is what spec/pointer.md says.
-- passed_by is the state that it came from, if any: what stands in its SSN slots at
-- the hub is then not known here, up to the epoch in passed. ticket is the check under whose ticket it is to be published,
-- supersedes the pointer whose place it takes; both may be empty. due is when
-- something is to be done about it.
CREATE TABLE pointer (
    handle     BYTEA   NOT NULL PRIMARY KEY,
    record     TEXT    NOT NULL,
    alias      INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    person     BYTEA   NOT NULL,
    tokens     BYTEA   NOT NULL,
    epoch      INTEGER NOT NULL,
    todo       INTEGER NOT NULL,
    next_epoch INTEGER NOT NULL,
    next_todo  INTEGER NOT NULL,
    reached    INTEGER NOT NULL,
    hidden     INTEGER NOT NULL,
    decoys     INTEGER NOT NULL,
    era        INTEGER NOT NULL,
    digits     BIGINT  NOT NULL,
    passed_by  TEXT    NOT NULL,
    passed     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    receipt    BYTEA   NOT NULL,
    moved_to   TEXT    NOT NULL,
    new_handle BYTEA   NOT NULL,
    ticket     BYTEA   NOT NULL,
    supersedes BYTEA   NOT NULL,
    operator   TEXT    NOT NULL,
    tries      INTEGER NOT NULL,
    due        BIGINT,
    changed    BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX pointer_record ON pointer (record);
CREATE INDEX pointer_due ON pointer (state, due, handle) WHERE due IS NOT NULL;
CREATE INDEX pointer_generation ON pointer (generation, state);

-- The state's own search of its own people: the first half of each token of the SSN
-- slots, as long as the pointer is there, and for each of the name slots 16 bytes that
-- are made of its key under the gateway's secret, whatever has become of the pointer.
CREATE TABLE pointer_token (
    token  BYTEA NOT NULL,
    handle BYTEA NOT NULL,
    PRIMARY KEY (token, handle)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The ten index tokens of a check, in slot order, under the key of epoch and, unless
-- it is 0, that of next_epoch, until they can be published under its ticket no more.
CREATE TABLE check_token (
    ticket     BYTEA   NOT NULL PRIMARY KEY,
    tokens     BYTEA   NOT NULL,
    epoch      INTEGER NOT NULL,
    next_epoch INTEGER NOT NULL,
    at         BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX check_token_at ON check_token (at);

-- A record as it is to stand in the state system, where its pointers are changed
-- for it: until it does.
CREATE TABLE record_change (
    record TEXT   NOT NULL PRIMARY KEY,
    wanted BYTEA  NOT NULL,
    at     BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- A card that was issued on a check, by whom, and the reason if the check did not
-- allow it by itself.
CREATE TABLE issued (
    ticket   BYTEA  NOT NULL PRIMARY KEY,
    record   TEXT   NOT NULL,
    operator TEXT   NOT NULL,
    override TEXT   NOT NULL,
    at       BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX issued_record ON issued (record);

-- Load generations that are not simply visible, and how they stand: dark, active,
-- rolled back.
CREATE TABLE generation (
    number INTEGER NOT NULL PRIMARY KEY,
    state  INTEGER NOT NULL,
    at     BIGINT  NOT NULL
) /* sqlite: STRICT */;

-- How far the pointers are published once more under the key of an epoch: up to that
-- handle, empty where the next to look at is the first.
CREATE TABLE rotation (
    epoch   INTEGER NOT NULL PRIMARY KEY,
    reached BYTEA   NOT NULL
) /* sqlite: STRICT */;

-- A ticket to write or maintain pointers that may have done so: one that a crash
-- has cut off is abandoned in the ledger.
CREATE TABLE publication (
    ticket BYTEA  NOT NULL PRIMARY KEY,
    signed BYTEA  NOT NULL,
    due    BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Comparisons of the own pointers with the hub's, and what they came to: numbers
-- only. receipt is the hub's of the last call, as it was signed.
CREATE TABLE comparison (
    at        BIGINT NOT NULL PRIMARY KEY,
    pointers  BIGINT NOT NULL,
    missing   BIGINT NOT NULL,
    withdrawn BIGINT NOT NULL,
    receipt   BYTEA  NOT NULL
) /* sqlite: STRICT */;
