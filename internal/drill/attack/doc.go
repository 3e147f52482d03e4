// Package attack is the program of an adversary who has got hold of files: of the
// hub's database, of key holders' shares, of the secret h. It is written from the
// published formats, not from the code of the roles, and does what can be done with
// what is in hand: it makes keys of shares, tokens of guessed people, labels of
// tokens, and looks those up.
//
//	keys.go    from shares to a key, or to what may be taken for one; from guesses to tokens
//	index.go   a copy of the hub's database
//	find.go    from people to the states that have a record of them
//	search.go  secrets and names in bytes of whatever kind
//
// Everything in it succeeds with enough in hand: with t shares and h it finds
// everybody. So where it finds nobody, that is not for want of trying.
package attack
