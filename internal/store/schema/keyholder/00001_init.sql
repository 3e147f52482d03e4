-- +goose Up
-- A ticket's first evaluation. The answer is a function of share, elements and
-- hedge, so that a replay within the window gives the same bytes without the
-- answer being stored.
CREATE TABLE ticket (
    id       BYTEA  NOT NULL PRIMARY KEY,
    expires  BIGINT NOT NULL,
    sequence BIGINT NOT NULL,
    deadline BIGINT NOT NULL,
    hedge    BYTEA  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX ticket_expires ON ticket (expires);

CREATE TABLE quota (
    member TEXT   NOT NULL,
    class  TEXT   NOT NULL,
    key    BYTEA  NOT NULL,
    starts BIGINT NOT NULL,
    used   BIGINT NOT NULL,
    PRIMARY KEY (member, class, key, starts)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX quota_starts ON quota (starts);
