-- +goose Up
-- What this witness has last cosigned of each log, by origin: the tree, when
-- (Unix seconds, never falling) and the checkpoint with the log's signature.
-- fork is the first checkpoint with the log's signature that contradicts one in
-- checkpoint; the two together prove it, and fork_of keeps the other one.
CREATE TABLE witness_log (
    origin     TEXT   NOT NULL PRIMARY KEY,
    size       BIGINT NOT NULL,
    hash       BYTEA  NOT NULL,
    cosigned   BIGINT NOT NULL,
    checkpoint BYTEA  NOT NULL,
    fork       BYTEA,
    fork_of    BYTEA
) /* sqlite: STRICT, WITHOUT ROWID */;
