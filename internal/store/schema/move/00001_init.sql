-- +goose Up
-- A record on its way to this state. change_id is the errand by which it was last
-- asked for, and the change that the release is for. person is the applicant, as a
-- CheckRequest, until the move is over. told is what the resident was told before
-- choosing, in that language. reply is what the former state sent: release, history,
-- names; empty before and afterwards. attempt is the call to the hub under way, a
-- MaintainRequest, empty where there is none. unclear says that the hub was called
-- and nobody knows yet what came of it. due is when to look at it again.
CREATE TABLE move (
    id             BYTEA   NOT NULL PRIMARY KEY,
    change_id      BYTEA   NOT NULL UNIQUE,
    ticket         BYTEA   NOT NULL,
    reference      BYTEA   NOT NULL,
    owner          TEXT    NOT NULL,
    state          INTEGER NOT NULL,
    record         TEXT    NOT NULL,
    person         BYTEA   NOT NULL,
    card_number    TEXT    NOT NULL,
    card_kind      TEXT    NOT NULL,
    real_id        INTEGER NOT NULL,
    operator       TEXT    NOT NULL,
    purpose        TEXT    NOT NULL,
    case_reference TEXT    NOT NULL,
    told           TEXT    NOT NULL,
    language       TEXT    NOT NULL,
    reply          BYTEA   NOT NULL,
    attempt        BYTEA   NOT NULL,
    unclear        INTEGER NOT NULL,
    pointers       INTEGER NOT NULL,
    words          TEXT    NOT NULL,
    tries          INTEGER NOT NULL,
    due            BIGINT,
    begun          BIGINT  NOT NULL,
    changed        BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX move_due ON move (due) WHERE due IS NOT NULL;
CREATE INDEX move_begun ON move (begun);
CREATE INDEX move_open ON move (begun) WHERE due IS NOT NULL;
CREATE INDEX move_record ON move (record);
CREATE INDEX move_ticket ON move (ticket, reference);

-- A record that this state has released to another. exported is the history that
-- went along; what came later is forwarded. It is emptied when the move is over, and
-- where none came of it once the hub's word cannot come any more.
-- leftover says that the record got other pointers after the release, which are to
-- be withdrawn. due is when to look at it again.
CREATE TABLE moving (
    change_id BYTEA   NOT NULL PRIMARY KEY,
    receiver  TEXT    NOT NULL,
    record    TEXT    NOT NULL,
    signed    BYTEA   NOT NULL,
    exported  BYTEA   NOT NULL,
    leftover  INTEGER NOT NULL,
    state     INTEGER NOT NULL,
    expires   BIGINT  NOT NULL,
    due       BIGINT,
    begun     BIGINT  NOT NULL,
    changed   BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX moving_record ON moving (record);
CREATE INDEX moving_state ON moving (state, begun);
CREATE INDEX moving_due ON moving (due) WHERE due IS NOT NULL;

-- A card of another state that this state has asked to be ended, or that its
-- holder chose to keep. due is when to look whether the question is alive.
CREATE TABLE termination (
    id          BYTEA   NOT NULL PRIMARY KEY,
    ticket      BYTEA   NOT NULL,
    reference   BYTEA   NOT NULL,
    owner       TEXT    NOT NULL,
    record      TEXT    NOT NULL,
    surrendered INTEGER NOT NULL,
    told        TEXT    NOT NULL,
    language    TEXT    NOT NULL,
    operator    TEXT    NOT NULL,
    state       INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    words       TEXT    NOT NULL,
    due         BIGINT,
    begun       BIGINT  NOT NULL,
    changed     BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX termination_due ON termination (due) WHERE due IS NOT NULL;
CREATE INDEX termination_begun ON termination (begun);
CREATE INDEX termination_open ON termination (begun) WHERE due IS NOT NULL;
CREATE INDEX termination_ticket ON termination (ticket, reference);

-- A card of this state that another state has asked to be ended. letter is the one
-- that tells the resident; objection is what they said to it. due is when to look at it again: the end of the time to
-- object, once the letter was mailed.
CREATE TABLE ending (
    id          BYTEA   NOT NULL PRIMARY KEY,
    asking      TEXT    NOT NULL,
    errand      BYTEA   NOT NULL,
    record      TEXT    NOT NULL,
    handle      BYTEA   NOT NULL,
    letter      BYTEA   NOT NULL,
    surrendered INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    reason      TEXT    NOT NULL,
    objection   TEXT    NOT NULL,
    due         BIGINT,
    begun       BIGINT  NOT NULL,
    changed     BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE UNIQUE INDEX ending_errand ON ending (asking, errand);
CREATE INDEX ending_record ON ending (record);
CREATE INDEX ending_letter ON ending (letter);
CREATE INDEX ending_due ON ending (due) WHERE due IS NOT NULL;
CREATE INDEX ending_begun ON ending (begun);
CREATE INDEX ending_open ON ending (begun) WHERE state < 3;

-- A letter to a resident about the ending of a card: one for each.
CREATE TABLE letter (
    id      BYTEA  NOT NULL PRIMARY KEY,
    record  TEXT   NOT NULL,
    english TEXT   NOT NULL,
    spanish TEXT   NOT NULL,
    made    BIGINT NOT NULL,
    mailed  BIGINT
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX letter_open ON letter (made) WHERE mailed IS NULL;

-- What another state has told this one: it has issued a card to the holder of a
-- record here.
CREATE TABLE announcement (
    id     BYTEA  NOT NULL PRIMARY KEY,
    asking TEXT   NOT NULL,
    record TEXT   NOT NULL,
    issued TEXT   NOT NULL,
    at     BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX announcement_at ON announcement (at);

-- A question about a protected person, which waits for the special unit.
CREATE TABLE withheld (
    id     BYTEA  NOT NULL PRIMARY KEY,
    asking TEXT   NOT NULL,
    errand BYTEA  NOT NULL,
    record TEXT   NOT NULL,
    at     BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX withheld_at ON withheld (at);

-- What has been unfinished for so long that it was said in the log.
CREATE TABLE alarm (
    id BYTEA  NOT NULL PRIMARY KEY,
    at BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
