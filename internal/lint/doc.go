// Package lint holds the rules about this repository that no compiler checks:
// which room may import which, what may do input and output, what must be
// documented, and that the documents say nothing that is not there. The rules
// are Go tests and run with all others; TestRulesCanFail plants a violation of
// each.
package lint
