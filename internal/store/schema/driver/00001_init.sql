-- +goose Up
-- The driver histories of the state's records: each item once for each record. The
-- item is its Item message. passed_by is the state that passed it on; arrived is
-- when it came to the first state of record. statement is the report as its
-- reporter signed it, empty for the state's own items and those that came with a
-- history. disputed is a state that has the same item with other content. number
-- counts from 1 in each record, in the order of arrival here.
CREATE TABLE driver_item (
    record    TEXT    NOT NULL,
    id        BYTEA   NOT NULL,
    number    INTEGER NOT NULL,
    type      TEXT    NOT NULL,
    item      BYTEA   NOT NULL,
    passed_by TEXT    NOT NULL,
    arrived   BIGINT  NOT NULL,
    statement BYTEA   NOT NULL,
    disputed  TEXT    NOT NULL,
    PRIMARY KEY (record, id)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- An item that this state reports about a driver of another state, and how far that
-- has come. driver is the Applicant, in clear, and ssn5 what the search needs: both
-- are emptied when the report is over. found is the check that the report cites,
-- else empty; reference is the record by it. reply is the newest ReportReply. due is
-- when it must be looked at again.
CREATE TABLE driver_report (
    item      BYTEA   NOT NULL PRIMARY KEY,
    content   BYTEA   NOT NULL,
    driver    BYTEA   NOT NULL,
    ssn5      TEXT    NOT NULL,
    state     INTEGER NOT NULL,
    sent_to   TEXT    NOT NULL,
    found     BYTEA   NOT NULL,
    reference BYTEA   NOT NULL,
    errand    BYTEA   NOT NULL,
    word      TEXT    NOT NULL,
    reply     BYTEA   NOT NULL,
    record    TEXT    NOT NULL,
    operator  TEXT    NOT NULL,
    case_ref  TEXT    NOT NULL,
    tries     INTEGER NOT NULL,
    due       BIGINT,
    reported  BIGINT  NOT NULL,
    changed   BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX driver_report_due ON driver_report (due) WHERE due IS NOT NULL;
CREATE INDEX driver_report_open ON driver_report (state) WHERE state < 5;
CREATE INDEX driver_report_errand ON driver_report (errand);
CREATE INDEX driver_report_reported ON driver_report (reported);

-- An item that this state, a former state of record, passes on to where the record
-- has gone. question is the report that it answers, empty where the item came
-- before the record went; asker is who asked. state is 0 while nothing has come back,
-- 1 when word and reply are to be passed on to the asker, 2 when all is said. due is
-- when to see whether its errand is still under way, or, where it is final and could
-- not be delivered and nobody asks for it, when to pass it on again.
CREATE TABLE driver_forward (
    errand   BYTEA   NOT NULL PRIMARY KEY,
    record   TEXT    NOT NULL,
    item     BYTEA   NOT NULL,
    sent_to  TEXT    NOT NULL,
    handle   BYTEA   NOT NULL,
    question BYTEA   NOT NULL,
    asker    TEXT    NOT NULL,
    state    INTEGER NOT NULL,
    word     TEXT    NOT NULL,
    final    INTEGER NOT NULL,
    reply    BYTEA   NOT NULL,
    due      BIGINT  NOT NULL,
    changed  BIGINT  NOT NULL
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX driver_forward_item ON driver_forward (record, item, handle);
CREATE INDEX driver_forward_owed ON driver_forward (state, due) WHERE state < 2;

-- An item that was taken into a record which had gone to another state with one of
-- its pointers and was here with another: if all go, it is passed on. at is when it
-- was taken, due when to look.
CREATE TABLE driver_stray (
    record TEXT   NOT NULL,
    item   BYTEA  NOT NULL,
    at     BIGINT NOT NULL,
    due    BIGINT NOT NULL,
    PRIMARY KEY (record, item)
) /* sqlite: STRICT, WITHOUT ROWID */;
CREATE INDEX driver_stray_due ON driver_stray (due);

-- How soon items were reported, by a band of days.
CREATE TABLE driver_timeliness (
    reporter TEXT    NOT NULL,
    type     TEXT    NOT NULL,
    month    TEXT    NOT NULL,
    band     INTEGER NOT NULL,
    items    BIGINT  NOT NULL,
    worst    BIGINT  NOT NULL,
    PRIMARY KEY (reporter, type, month, band)
) /* sqlite: STRICT, WITHOUT ROWID */;

-- Why items were rejected.
CREATE TABLE driver_rejection (
    reporter TEXT   NOT NULL,
    month    TEXT   NOT NULL,
    field    TEXT   NOT NULL,
    code     TEXT   NOT NULL,
    times    BIGINT NOT NULL,
    PRIMARY KEY (reporter, month, field, code)
) /* sqlite: STRICT, WITHOUT ROWID */;
