-- +goose Up
-- Two records that may be one person's, as a case that two states share, or, where
-- other is empty, of this state alone. id is the same in both states. asked is 1
-- where this state made the check. record and record_too are this state's own;
-- applicant is whom the check was about, as far as this state was told; person is
-- how the asking state knows that person towards the other. told is what the
-- check came to. state, outcome, ours, theirs, why (it is escalated) and fraud
-- follow from the notes. protected is 1 where only the special unit may see it.
CREATE TABLE duplicate (
    id         BYTEA   NOT NULL PRIMARY KEY,
    other      TEXT    NOT NULL,
    origin     TEXT    NOT NULL,
    asked      INTEGER NOT NULL,
    ticket     BYTEA   NOT NULL,
    reference  BYTEA   NOT NULL,
    handle     BYTEA   NOT NULL,
    record     TEXT    NOT NULL,
    record_too TEXT    NOT NULL,
    applicant  BYTEA   NOT NULL,
    person     BYTEA   NOT NULL,
    told       TEXT    NOT NULL,
    purpose    TEXT    NOT NULL,
    operator   TEXT    NOT NULL,
    state      INTEGER NOT NULL,
    outcome    TEXT    NOT NULL,
    ours       TEXT    NOT NULL,
    theirs     TEXT    NOT NULL,
    keep       TEXT    NOT NULL,
    why        TEXT    NOT NULL,
    fraud      INTEGER NOT NULL,
    protected  INTEGER NOT NULL,
    portraits  INTEGER NOT NULL,
    portrait   BYTEA   NOT NULL,
    opened     BIGINT  NOT NULL,
    changed    BIGINT  NOT NULL,
    UNIQUE (other, ticket, reference, record, record_too)
) /* sqlite: STRICT */;
CREATE INDEX duplicate_open ON duplicate (state, opened);
CREATE INDEX duplicate_record ON duplicate (record);
CREATE INDEX duplicate_too ON duplicate (record_too);
CREATE INDEX duplicate_ticket ON duplicate (ticket);

-- What was said in a case, once for each id. author is the state that said it;
-- operator is a user of this state's own, else empty. delivery is what came of
-- sending it: empty while it is under way.
CREATE TABLE duplicate_note (
    duplicate BYTEA   NOT NULL,
    author    TEXT    NOT NULL,
    id        BYTEA   NOT NULL,
    operator  TEXT    NOT NULL,
    class     TEXT    NOT NULL,
    written   BIGINT  NOT NULL,
    text      TEXT    NOT NULL,
    outcome   TEXT    NOT NULL,
    number    INTEGER NOT NULL,
    issued    TEXT    NOT NULL,
    closes    INTEGER NOT NULL,
    delivery  TEXT    NOT NULL,
    PRIMARY KEY (duplicate, author, id)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Pairs that were found to be two people. state asks about person, a digest of the
-- applicant or how that state names the person; record is this state's own, and
-- digest is of what was compared of it: when that changes the pair may be raised
-- again. valid is 1 from when both states agree.
CREATE TABLE cleared (
    state     TEXT   NOT NULL,
    person    BYTEA  NOT NULL,
    record    TEXT   NOT NULL,
    duplicate BYTEA  NOT NULL,
    digest    BYTEA  NOT NULL,
    valid     INTEGER NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (state, person, record, duplicate)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX cleared_duplicate ON cleared (duplicate);

-- The same at the state that asked, which knows no record of the other: how many
-- of its records were found to be somebody else than this person.
CREATE TABLE cleared_elsewhere (
    person    BYTEA  NOT NULL,
    state     TEXT   NOT NULL,
    duplicate BYTEA  NOT NULL,
    at        BIGINT NOT NULL,
    PRIMARY KEY (person, state, duplicate)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX cleared_elsewhere_duplicate ON cleared_elsewhere (duplicate);

-- A campaign that looks for duplicates of all own records. after is the id of the
-- record that was taken up last. minute and day are those for which used_minute
-- and used_day count.
CREATE TABLE campaign (
    id          INTEGER NOT NULL PRIMARY KEY,
    state       INTEGER NOT NULL,
    why         TEXT    NOT NULL,
    operator    TEXT    NOT NULL,
    after       TEXT    NOT NULL,
    over        INTEGER NOT NULL,
    records     BIGINT  NOT NULL,
    asked       BIGINT  NOT NULL,
    opened      BIGINT  NOT NULL,
    skipped     BIGINT  NOT NULL,
    per_minute  INTEGER NOT NULL,
    per_day     INTEGER NOT NULL,
    from_hour   INTEGER NOT NULL,
    to_hour     INTEGER NOT NULL,
    minute      BIGINT  NOT NULL,
    used_minute INTEGER NOT NULL,
    day         BIGINT  NOT NULL,
    used_day    INTEGER NOT NULL,
    not_before  BIGINT  NOT NULL,
    started     BIGINT  NOT NULL,
    ended       BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;

-- A record that the campaign has taken up and is not done with: its state is
-- wanted or searched. ticket is the newest search, empty before the first, and at
-- when it was made; due is when to look at what has come of it.
CREATE TABLE campaign_record (
    record TEXT    NOT NULL PRIMARY KEY,
    state  INTEGER NOT NULL,
    ticket BYTEA   NOT NULL,
    tries  INTEGER NOT NULL,
    at     BIGINT  NOT NULL,
    due    BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX campaign_record_due ON campaign_record (state, due);

-- Records that were asked about unusually often: questions up to seen were looked
-- at by a person.
CREATE TABLE frequent (
    record TEXT   NOT NULL PRIMARY KEY,
    since  BIGINT NOT NULL,
    seen   BIGINT NOT NULL,
    open   INTEGER NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
