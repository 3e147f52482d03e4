// Package recovery copies a role's folder into an archive, and brings it back.
//
//	Backup   the databases at one moment, the files beside them ──> archive.age     backup.go, archive.go
//	         keys, on purpose and apart                         ──> keys.age
//	Restore  archives ──> a new folder                                              restore.go
//	         what has the world seen of this log?                                   world.go
//	         as much as came back: it goes on; more: refused, or a successor log    succeed.go
//
// A backup is older than what was done after it. What the role had promised by then stands
// in checkpoints that others hold, so that a restore cannot hide it: it can only say so.
// See spec/ledger.md, Successors, and docs/operations/backup.md for what each role does
// about the rest.
package recovery
