// Package dryrun says what a state's file of people looks like before it is
// loaded, and what to clean in it: a dry run that needs no gateway.
//
//	dryrun.go      one pass over the rows; the report
//	remarks.go     what is odd about one record
//	counts.go      what shows only in numbers: birthdays, SSNs, lengths
//	duplicates.go  records of the file that look like one person, repeated ids
//	sort.go        sorting on disk, so that memory does not grow with the file
//	text.go, html.go, report.html
//
// # Nobody can tell who has no SSN
//
// The report, the list of lines and the list of pairs are read by more people
// than the file. None of them says of anybody whether there is an SSN: the SSN
// has no fill rate, no line and no part in finding duplicates; what stands in its
// place is counted by value, in round numbers, from eleven people on. Neither are
// lines listed for birthdays that look like defaults: who has no papers is often
// given 1 January.
package dryrun
