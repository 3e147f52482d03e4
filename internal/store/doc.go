// Package store is the one door to SQL for every role.
//
// A [DB] belongs to one role of one process. Writes go through one writer that
// commits in groups; reads run beside it, each on a consistent snapshot:
//
//	Write(fn) ─┐                  ┌ fn                   ┐
//	Write(fn) ─┼─ queue ─ BEGIN ──┼ SAVEPOINT fn ROLLBACK┼── COMMIT (fsync) ── every Write returns
//	Write(fn) ─┘                  └ SAVEPOINT fn RELEASE ┘
//	Read(fn) ──── reader ── BEGIN (snapshot) fn END
//
// # What a caller may rely on
//
//   - Write returns nil only after its effects are durable: in the write-ahead
//     log and synced. A function that fails or panics leaves no effect and does
//     not disturb the others of its group. No Write of a group returns, not
//     even with an error, before the group is durable, because what a function
//     saw may have been written by an earlier one of the same group.
//   - An error from Write means "no effect", with one exception: where the
//     COMMIT itself failed the outcome is unknown, as after a crash, and the
//     error wraps [ErrUnknownOutcome].
//   - Read sees everything of every Write that returned before it began, and
//     nothing of one that had not committed.
//   - A database file has one process at a time; a second Open is refused. A
//     database on a server may have several of one role: then, too, one function
//     writes at a time, and what it reads holds until it is committed.
//   - A server that is away fails what is asked meanwhile, and nothing after it.
//
// # Rules for the SQL
//
// Statements and schemas keep to what SQLite, PostgreSQL and its relatives run, and a
// test reads all of them (TestStatements): parameters are $1, $2, ...; columns are
// BIGINT, INTEGER, TEXT and BYTEA; times are BIGINT (Unix units chosen by the
// owner of the table); booleans are INTEGER 0 or 1. Primary keys come first,
// conflicts are handled with ON CONFLICT, values are computed in Go. No
// triggers, sequences, LISTEN, advisory locks or two-phase commit. The text of
// a statement is a constant: it is prepared once per connection and kept, and
// it may appear in an error, which parameters never do.
//
// As in PostgreSQL, a statement that fails ends its transaction: every later
// statement of the same function returns the first error, and so does Write,
// even if the function ignores it. [ErrNoRows] alone is not a failure.
//
// # Schemas
//
// Migrations (goose) lie in schema/<role>/NNNNN_name.sql; schema/store applies
// to every database, schema/journal to every role that keeps a ledger and
// schema/witness to every role that cosigns those of others. Each set has its
// own version table. For SQLite the types BIGINT and BYTEA become
// INTEGER and BLOB, and a marker at the end of CREATE TABLE becomes table
// options, which leaves a comment for any other engine:
//
//	CREATE TABLE label (
//	    label BYTEA NOT NULL PRIMARY KEY,
//	    pointer BYTEA NOT NULL
//	) /* sqlite: STRICT, WITHOUT ROWID */;
package store
