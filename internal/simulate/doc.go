// Package simulate plays whole exchanges on one loop: the code of the roles as it
// is, with a clock, a network, randomness and databases that do what a seed says.
// One seed is one world: people who are checked, move and change their names,
// clerks who cancel, processes that die at any commit, links that are cut, calls
// and messages that are lost, late, doubled or out of order. While it goes on and
// once all trouble is over, what must always hold is looked for. A seed in which
// something is wrong plays again to the last byte.
//
// What is real and what is injected, and what is looked for, is in
// docs/simulation.md. Randomness is that of the process: whoever runs a world
// seeds it first (testing/cryptotest.SetGlobalRandom), so that the package is of
// use to tests only.
//
//	loop.go      tasks, one at a time, on a clock of their own
//	cast.go      keys and roster
//	role.go      the processes of a role: begin, crash, begin again
//	link.go      calls between them
//	faults.go    what goes wrong
//	world.go     all of it
//	people.go    who lives there
//	script.go    what happens to them
//	trouble.go   what is done to the exchange
//	journeys.go  what is done between two states
//	clerks.go    what is done with records
//	disputes.go  people who are taken for each other
//	watch.go     every message, looked into
//	ledger.go    every entry
//	judge.go     what must hold in the end
//	verdict.go   between two states
//	books.go     the auditor
//	trace.go     what has happened
//	simulate.go  what tests use
package simulate
