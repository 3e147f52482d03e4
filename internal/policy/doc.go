// Package policy holds the disclosure table of a state of record: what it
// tells, for which purpose, to whom.
//
// The table is a JSON file that a lawyer can read and change without a
// programmer. It has two parts.
//
//   - rules: each names a kind of transaction, purposes and recipients
//     (["*"] is all of them), the outcomes it speaks about, and what may
//     travel (fields) or may not (never). What travels is the union of the
//     fields of all rules that apply, less the union of their nevers: never
//     wins, wherever it stands in the file.
//   - cases: given a question, then exactly these fields travel. They are run
//     whenever the table is loaded. A table that fails one of its own cases, or
//     has a rule that no case exercises, does not load.
//
// A check tells status, card_kind and termination_required. What follows a check
// asks for one thing each: a status, a history, a portrait; its outcome in the table
// is that of the check.
//
// What no table can change: a candidate that is not the applicant is answered
// with the outcome alone, one bit, and nothing follows; and no other fields exist.
// The card's class, whether it is a REAL ID, and whether an SSN is on file are not
// fields, so no table can send them.
//
// The package also holds the termination rule of 6 CFR 37.29, because it
// decides the value of one of the fields: see TerminationRequired.
package policy
