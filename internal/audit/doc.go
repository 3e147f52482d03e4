// Package audit reads the published ledgers of an exchange and says what does
// not add up.
//
// Reconcile is the double entry over all of them. It needs the published logs,
// an age identity that opens their entries, and the rosters; never the database
// of a running role.
//
//	log ──> checkpoint ──> bundles ──> entries that open their leaves      reconcile_log.go
//	    ──> what one log shows alone: times, counters, rosters, quotas     rules_log.go, rules_quota.go
//	    ──> one compact record an entry, spilled by ticket                 record.go, spill.go
//	ticket ──> its records from all ledgers ──> the rules                  rules_ticket.go, rules_*.go
//
// The memory it takes does not grow with the number of entries: logs are read
// as streams, records lie in a temporary file, and tickets are judged one
// partition of that file after the other.
//
// Ledgers are published up to a minute late, and each has been read up to
// another time. A rule that rests on something being absent therefore speaks
// only once the ledger in which it is absent was read beyond the time by which
// it had to be there. Until then the ticket is open, and carried over to the
// next run.
package audit
