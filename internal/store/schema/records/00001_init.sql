-- +goose Up
-- What this state has, had or wants in the index: one row for each pointer. Its
-- states are wanted, live, moved and withdrawn. person is the name and date of
-- birth that it was made from, without an SSN; tokens are ten in slot order, empty
-- where they are not made yet; decoys has a bit for each slot that says nothing.
-- receipt is what its last signed receipt hashes to. passed: it came from another
-- state, and what stands in its SSN slots at the hub is not known here.
CREATE TABLE pointer (
    handle     BYTEA   NOT NULL PRIMARY KEY,
    record     TEXT    NOT NULL,
    alias      INTEGER NOT NULL,
    state      INTEGER NOT NULL,
    person     BYTEA   NOT NULL,
    tokens     BYTEA   NOT NULL,
    decoys     INTEGER NOT NULL,
    passed     INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    receipt    BYTEA   NOT NULL,
    moved_to   TEXT    NOT NULL,
    new_handle BYTEA   NOT NULL,
    changed    BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX pointer_record ON pointer (record);

-- The state's own search of its own people: the first half of each token.
CREATE TABLE pointer_token (
    token  BYTEA NOT NULL,
    handle BYTEA NOT NULL,
    PRIMARY KEY (token, handle)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The ten index tokens of a check, in slot order, until they can be published
-- under its ticket no more.
CREATE TABLE check_token (
    ticket BYTEA  NOT NULL PRIMARY KEY,
    tokens BYTEA  NOT NULL,
    at     BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX check_token_at ON check_token (at);
