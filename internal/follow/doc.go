// Package follow watches the ledgers of others: what a gateway, the hub and a
// key holder do with the logs of those that they rely on.
//
//	checkpoint ──> signed, cosigned, continues the last seen ──> Usable     follow.go, look.go
//	receipt past its deadline ──> its leaf in the log, or evidence          receipts.go
//	evidence ──> verified from the file and the governance keys alone       evidence.go, verify.go
//
// What was seen once is in the role's own database before anything rests on
// it: a restart forgets neither a checkpoint nor a contradiction.
//
// The formats are those of spec/ledger.md.
package follow
