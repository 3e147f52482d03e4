-- +goose Up
-- The logs of others that are followed here. Rows are never deleted: what was
-- seen once binds the log for ever.
CREATE TABLE follow_log (
    origin TEXT NOT NULL PRIMARY KEY,
    member TEXT NOT NULL,
    since BIGINT NOT NULL,      -- when it was first followed, Unix seconds
    checkpoint BYTEA,           -- the newest that was verified; NULL before the first
    cosigned BIGINT NOT NULL,   -- when that was last cosigned, Unix seconds; 0 before the first
    broken TEXT,                -- set once, in words: it contradicted itself
    contradiction BYTEA,        -- the checkpoint that did
    shown BIGINT NOT NULL,      -- 1 once what evidence there is of that is published
    closed BIGINT,              -- when its successor says that it was closed for ever, Unix seconds
    restored BIGINT,            -- then, how many of its entries are left, and the root over them
    restored_root BYTEA,
    successor TEXT              -- and the place in the successor that says so
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Receipts past their deadline whose leaf was not seen yet. id is the SHA-256
-- of the receipt.
CREATE TABLE follow_receipt (
    origin TEXT NOT NULL,
    seq BIGINT NOT NULL,
    id BYTEA NOT NULL,
    deadline BIGINT NOT NULL,   -- Unix seconds
    ticket BYTEA NOT NULL,
    receipt BYTEA NOT NULL,
    PRIMARY KEY (origin, seq, id)
) /* sqlite: STRICT, WITHOUT ROWID */;

CREATE INDEX follow_receipt_deadline ON follow_receipt (origin, deadline);

-- Evidence of missed receipts whose entry stands in the own ledger. Of a receipt whose
-- leaf was declared lost, member is the origin of the log and evidence the receipt's id.
CREATE TABLE follow_missed (
    member TEXT NOT NULL,
    evidence TEXT NOT NULL,
    PRIMARY KEY (member, evidence)
) /* sqlite: STRICT, WITHOUT ROWID */;
