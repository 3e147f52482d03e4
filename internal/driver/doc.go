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
//	desk.go        what a state's desk works with
//	item.go        an item and its id
//	codes.go       the codes of convictions and withdrawals, from codes.txt
//	validate.go    everything that is wrong with an item
//	book.go        the histories of this state's records
//	wire.go        what states write to each other
//	answer.go      as the state of record
//	forward.go     as a former state of record
//	stray.go       items taken while a record was half gone
//	send.go        as the reporter
//	search.go      a driver whose card nobody has
//	timeliness.go  how soon others report
//	print.go       a history for people
//	purge.go       retention
//	door.go        the counter door: reports
//	door_book.go   the counter door: histories
package driver
