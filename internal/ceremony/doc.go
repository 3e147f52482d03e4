// Package ceremony makes, refreshes and reshares the OPRF key among the key holders
// of a roster, each on its own machine, so that nobody ever has the key.
//
// # Who does what
//
// A ceremony has a [Plan]: what is made, under which roster, by whom and until when.
// Its hash is the ceremony's id, to which every message is bound. In each of four
// rounds every participant signs one message with its identity key and says in it
// which messages of the round before it has seen:
//
//	1 commit   hash of what it will reveal; to whom its deals are to be sealed
//	2 reveal   its polynomial's commitments and a proof that it knows it
//	3 deal     a value for each holder, sealed to that holder
//	4 sign     the hash of the transcript, or a complaint about a deal
//
// A coordinator ([Run]) carries the messages: a command on anybody's machine, without
// a secret and without power. What it alters does not verify, and what it holds back
// stops the ceremony and nothing else. The shares count when a signed roster names
// their public shares, and governance signs that only with a transcript ([Verify])
// that every participant has signed.
//
// # What can go wrong
//
// Whoever misbehaves is named by everybody with what it has signed ([Judge]): a
// message that does not verify, a deal off its polynomial, a false complaint, two
// different messages of one round. The ceremony is void then and the next one takes
// another plan. A deal is sealed to a key that its addressee made for this dealer and
// ceremony: a complaint shows that key, so that all open the one deal in question and
// no other.
//
// # What survives a crash
//
// A participant ([Holder]) stores the messages it took, its own and the ledger entry in
// one transaction before its own leaves it, and never answers a round twice
// differently: so nobody learns what it would have said to others' other words. What
// it says is a function of what is stored and of secrets that rest under the age
// identity of the share to be ([Vault]). A process that starts again goes on; an attempt
// whose time is over is given up.
package ceremony
