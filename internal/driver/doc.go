// Package driver is driver history: what a driver was convicted of, what was taken
// from him and given back, whoever reported it. Each item is kept once, by the
// driver's state of record.
//
// # From the reporter to the state of record
//
//	reporter ── report (card, or a record that a check has found) ──> state of record: accepted, or rejected with all problems
//	reporter ── report ──> former state of record ── forwards ──> state of record
//	         <─ forwarded, to whom ─┘ <───── accepted ────────────────┘ and passed back as the final word
//
// An item's id follows from what its reporter calls it, so that an item that comes
// again, by whatever way, changes nothing. What was wrong is cancelled by another
// item. Nothing is deleted before its retention is over.
//
// A driver whom nobody holds a record of gets one of kind unlicensed in the state
// that reports, until a state licenses the driver.
//
//	item.go    an item and its id
//	book.go    the histories of this state's records
package driver
