-- +goose Up
-- The stand-in for a state's licensing system: its people, in clear. since is
-- the date on which the status began, or empty.
CREATE TABLE person (
    id          TEXT    NOT NULL PRIMARY KEY,
    family      TEXT    NOT NULL,
    given       TEXT    NOT NULL,
    middle      TEXT    NOT NULL,
    suffix      TEXT    NOT NULL,
    born        TEXT    NOT NULL,
    sex         TEXT    NOT NULL,
    ssn5        TEXT    NOT NULL,
    card_number TEXT    NOT NULL,
    card_kind   TEXT    NOT NULL,
    status      TEXT    NOT NULL,
    since       TEXT    NOT NULL,
    real_id     INTEGER NOT NULL,
    protected   INTEGER NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX person_card ON person (card_number);

-- Portraits, as JPEG.
CREATE TABLE portrait (
    id   TEXT  NOT NULL PRIMARY KEY,
    jpeg BYTEA NOT NULL
) /* sqlite: STRICT */;
