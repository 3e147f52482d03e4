// Package population makes synthetic people with known truth: a population of
// card holders for each state, and the list of pairs of records in two states
// that are one person. Nobody in it exists; every card number says SYN.
//
// Names come from public tables (see names.go) by their frequency, birth
// cohort and sex; given and family names lean together for Hispanic families,
// who often carry two surnames. About one person in ten has no SSN, whoever
// they are otherwise.
//
// About three records in a hundred are of a person who also has a record in
// another state. The second record was made later by another clerk: the
// surname may have changed, a nickname been used, a letter or a digit mistyped
// (see drift.go for the rates). Truth says what happened.
//
// Everything is a function of the configuration: record i of a state is drawn
// from a generator seeded by (seed, state, i) alone, so a population of
// millions needs no memory, can be walked in any order, and is the same every
// time and everywhere.
//
// Beside the crowd, a few named people are present for any seed: Scenarios.
package population
