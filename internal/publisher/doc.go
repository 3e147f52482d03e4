// Package publisher makes the public log of a role from its journal: C2SP
// tlog-tiles in a folder, with checkpoints that the role signs and witnesses
// cosign. The layout is that of spec/ledger.md.
//
//	journal rows ──> entries, sealed bundles, keys ──> hash tiles      extend.go, edge.go
//	            ──> the file "signed" ──> signature ──> cosignatures   sign.go, cosign.go
//	            ──> the file "checkpoint" ──> copies elsewhere         upload.go
//
// The tree is a function of the journal's leaves and of nothing else, and each
// step is on disk before the next begins. So a crash at any point is followed
// by the same bytes again: no gap, no duplicate, no other order. What would
// contradict an earlier checkpoint is refused before anything is signed.
//
// The other side is here too: [Store] keeps the logs of members that open no
// port, and [Handler] shows a folder of logs to the public.
package publisher
