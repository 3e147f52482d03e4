-- +goose Up
-- A label is HMAC(h, token || counter), cut to 16 bytes. Rows are never deleted
-- and carry nothing else: all that can change is in the pointer row.
CREATE TABLE label (
    label   BYTEA  NOT NULL PRIMARY KEY,
    pointer BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- The single authority on a pointer. The id is random and never leaves the hub.
CREATE TABLE pointer (
    id         BIGINT  NOT NULL PRIMARY KEY,
    owner      TEXT    NOT NULL,
    handle     BYTEA   NOT NULL,
    state      INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    epoch      INTEGER NOT NULL,
    receipt    BYTEA   NOT NULL,
    changed    BIGINT  NOT NULL
) /* sqlite: STRICT */;
CREATE UNIQUE INDEX pointer_handle ON pointer (owner, handle);

-- The generations of each owner, 0 among them: whether searches see it, and how
-- many live pointers it has.
CREATE TABLE generation (
    owner    TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    state    INTEGER NOT NULL,
    pointers BIGINT  NOT NULL,
    PRIMARY KEY (owner, number)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Owners that leave. What is theirs is withdrawn in the order of handles: up to
-- reached is done. ended is when all of it was, or 0.
CREATE TABLE departure (
    owner     TEXT   NOT NULL PRIMARY KEY,
    reached   BYTEA  NOT NULL,
    withdrawn BIGINT NOT NULL,
    ended     BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Changes of state of record that were made: the new owner's name for each, and
-- the release, hashed.
CREATE TABLE passed (
    owner   TEXT   NOT NULL,
    change  BYTEA  NOT NULL,
    release BYTEA  NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (owner, change)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX passed_expires ON passed (expires);

-- The word to a former owner that its pointers have passed, as long as it lies
-- unread: id is that of the letter in its box, which expires before the word does.
CREATE TABLE unread (
    recipient TEXT   NOT NULL,
    id        BYTEA  NOT NULL,
    ticket    BYTEA  NOT NULL,
    body      BYTEA  NOT NULL,
    letter    BIGINT NOT NULL, -- when that expires, Unix seconds
    expires   BIGINT NOT NULL, -- and the word
    PRIMARY KEY (recipient, id)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX unread_letter ON unread (letter);

-- One part of one ticket's search, kept as long as it may be asked again. When that is
-- over is known from the ticket: what is searched in the same minute lies side by side, and
-- goes side by side.
CREATE TABLE search (
    expires    BIGINT  NOT NULL,
    ticket     BYTEA   NOT NULL,
    part       INTEGER NOT NULL,
    inputs     BYTEA   NOT NULL,
    candidates BYTEA   NOT NULL,
    sequence   BIGINT  NOT NULL,
    deadline   BIGINT  NOT NULL,
    PRIMARY KEY (expires, ticket, part)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Tickets of which part one was searched: each may publish one record.
CREATE TABLE searched (
    expires BIGINT NOT NULL,
    ticket  BYTEA  NOT NULL,
    PRIMARY KEY (expires, ticket)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- What a reference means, for one ticket: a pointer, and whose it was. It goes when the
-- searches of the ticket do.
CREATE TABLE reference (
    expires   BIGINT NOT NULL,
    ticket    BYTEA  NOT NULL,
    pointer   BIGINT NOT NULL,
    owner     TEXT   NOT NULL,
    reference BYTEA  NOT NULL,
    PRIMARY KEY (expires, ticket, pointer, owner)
) /* sqlite: STRICT, WITHOUT ROWID */;

CREATE TABLE mailbox (
    recipient TEXT   NOT NULL,
    sequence  BIGINT NOT NULL,
    id        BYTEA  NOT NULL,
    sealed    BYTEA  NOT NULL,
    expires   BIGINT NOT NULL,
    PRIMARY KEY (recipient, sequence)
) /* sqlite: STRICT */;
CREATE UNIQUE INDEX mailbox_id ON mailbox (recipient, id);
CREATE INDEX mailbox_expires ON mailbox (expires);

-- The last sequence number given out in each box, and the bytes of the messages in it.
CREATE TABLE box (
    recipient TEXT   NOT NULL PRIMARY KEY,
    last      BIGINT NOT NULL,
    bytes     BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Messages to owners that have no valid encryption key: sealed, in this order,
-- when one comes.
CREATE TABLE owed (
    owner   TEXT   NOT NULL,
    number  BIGINT NOT NULL,
    type    TEXT   NOT NULL,
    ticket  BYTEA  NOT NULL,
    body    BYTEA  NOT NULL,
    expires BIGINT NOT NULL,
    PRIMARY KEY (owner, number)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Each member's current encryption key, signed by the member.
CREATE TABLE encryption_key (
    member TEXT   NOT NULL PRIMARY KEY,
    key    BYTEA  NOT NULL,
    at     BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- A ticket's one batch of records: what it is, hashed under h; its place in the
-- ledger, with the number of the log in the upper bits, as everywhere; and whether all of it is in the index.
CREATE TABLE publication (
    ticket   BYTEA   NOT NULL PRIMARY KEY,
    inputs   BYTEA   NOT NULL,
    sequence BIGINT  NOT NULL,
    deadline BIGINT  NOT NULL,
    live     INTEGER NOT NULL,
    expires  BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX publication_expires ON publication (expires);

-- What was done under a ticket for upkeep, and what was answered: nothing yet
-- where a departure goes on.
CREATE TABLE upkeep (
    ticket   BYTEA   NOT NULL PRIMARY KEY,
    answer   BYTEA,
    sequence BIGINT  NOT NULL,
    deadline BIGINT  NOT NULL,
    expires  BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX upkeep_expires ON upkeep (expires);

-- Tickets whose misuse stands in the ledger: once each.
CREATE TABLE misuse (
    ticket  BYTEA  NOT NULL PRIMARY KEY,
    expires BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

CREATE TABLE quota (
    member TEXT   NOT NULL,
    class  TEXT   NOT NULL,
    key    BYTEA  NOT NULL,
    starts BIGINT NOT NULL,
    used   BIGINT NOT NULL,
    PRIMARY KEY (member, class, key, starts)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX quota_starts ON quota (starts);
