-- +goose Up
-- Questions about protected persons, until the special unit has decided.
CREATE TABLE question_withheld (
    id      BYTEA  NOT NULL PRIMARY KEY,
    asking  TEXT   NOT NULL,
    errand  BYTEA  NOT NULL,
    kind    TEXT   NOT NULL,
    purpose TEXT   NOT NULL,
    record  TEXT   NOT NULL,
    at      BIGINT NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
