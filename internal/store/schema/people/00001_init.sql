-- +goose Up
-- The stand-in for a state's licensing system: its people, in clear.
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
    real_id     INTEGER NOT NULL,
    protected   INTEGER NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
